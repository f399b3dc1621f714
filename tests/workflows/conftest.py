"""Fixtures of whole trainings, and the desk at which solutions are tried without any."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from unplateau.engine import loop
from unplateau.workflows.solving import run_solutions as launcher
from unplateau.workflows.training import score

from .desk import FAKE, TEST_SCORE, Desk


@pytest.fixture
def flat_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every epoch the same validation mAP."""
    true_validate = loop._validate

    def validate(parts, epoch):  # type: ignore[no-untyped-def]
        retrieval = true_validate(parts, epoch)
        return replace(retrieval, metrics=replace(retrieval.metrics, mAP=0.5))

    monkeypatch.setattr(loop, "_validate", validate)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    true_command = launcher.train_command

    def fake_command(*words: object, **options: object) -> list[str]:
        return [sys.executable, str(FAKE), *true_command(*words, **options)[4:]]  # type: ignore[arg-type]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launcher, "train_command", fake_command)
    monkeypatch.setattr(launcher, "_LOOK_EVERY_SECONDS", 0.02)
    monkeypatch.setattr(score, "run_scoring", lambda config_file, overrides: (TEST_SCORE,))
    return Desk(tmp_path)
