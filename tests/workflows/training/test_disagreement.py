"""A run that goes on elsewhere than where it began: what differs is said, and refused where results would silently change."""

import pytest

from unplateau.base.errors import UsageError
from unplateau.testing.small_market import Lab
from unplateau.workflows.training import going_on
from unplateau.workflows.training.disagreement import differing

THEN = {"data": "a", "validation": "b", "world_size": 1, "device": "cpu", "torch": "2.9.0+cpu"}


def test_nothing_differs_and_what_an_older_checkpoint_does_not_tell_is_no_difference() -> None:
    assert differing(THEN, THEN) == []
    assert differing({"data": "a"}, THEN) == []


@pytest.mark.parametrize(
    ("change", "is_refused", "can_be_forced"),
    [
        ({"data": "c"}, True, False),
        ({"validation": "c"}, True, False),
        ({"world_size": 2}, True, True),
        ({"device": "cuda"}, True, True),
        ({"torch": "2.10.0+cpu"}, True, True),
        ({"torch": "2.9.1+cu130"}, False, True),
    ],
)
def test_what_is_refused_and_what_can_be_forced(change: dict[str, object], is_refused: bool, can_be_forced: bool) -> None:
    (found,) = differing(THEN, {**THEN, **change})
    assert (found.is_refused, found.can_be_forced) == (is_refused, can_be_forced)


def _on(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    true_identity = going_on.identity
    monkeypatch.setattr(going_on, "identity", lambda *given: {**true_identity(*given), **changes})


@pytest.mark.parametrize("change", [{"torch": "1.99.0"}, {"world_size": 4}, {"device": "cuda"}])
def test_another_torch_or_number_of_processes_is_refused_unless_it_is_forced(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    lab.train("run", "SOLVER.STOP_EPOCH 1")
    reason = lab.folder("run").stopping_reason.read_text(encoding="utf-8")
    _on(monkeypatch, **change)
    with pytest.raises(UsageError, match="Results would silently change.*--allow-changes") as refused:
        lab.train("run", resume=True)
    assert str(next(iter(change.values()))) in str(refused.value)
    assert lab.folder("run").stopping_reason.read_text(encoding="utf-8") == reason
    assert lab.train("run", resume=True, allow_changes=True).reason.code == "completed"
    assert "Going on although it was begun" in lab.folder("run").log.read_text(encoding="utf-8")


def test_a_repair_release_of_torch_is_said_and_goes_on(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    lab.train("run", "SOLVER.STOP_EPOCH 1")
    _on(monkeypatch, torch=str(torch.__version__) + ".post1")
    assert lab.train("run", resume=True).reason.code == "completed"
    assert "Going on although it was begun with torch" in lab.folder("run").log.read_text(encoding="utf-8")


def test_other_data_is_refused_even_by_force(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.train("run", "SOLVER.STOP_EPOCH 1")
    _on(monkeypatch, data="other")
    with pytest.raises(UsageError, match="other data.*--allow-changes does not help"):
        lab.train("run", resume=True, allow_changes=True)
