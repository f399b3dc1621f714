"""Fixtures of whole trainings."""

from dataclasses import replace

import pytest

from unplateau.engine import loop


@pytest.fixture
def flat_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every epoch the same validation mAP."""
    true_validate = loop._validate

    def validate(parts, epoch):  # type: ignore[no-untyped-def]
        retrieval = true_validate(parts, epoch)
        return replace(retrieval, metrics=replace(retrieval.metrics, mAP=0.5))

    monkeypatch.setattr(loop, "_validate", validate)
