"""`--seeds`: the best recipes are trained again with fresh seeds, which alone decide; broken off, it goes on where it stood."""

import sys
from pathlib import Path

import pytest

from tests.workflows.made_runs import write_run
from unplateau.base.errors import RecordError, UsageError
from unplateau.base.files import read_json, read_json_lines, write_json
from unplateau.runs.layout import RunFolder
from unplateau.runs.record import StopReason
from unplateau.runs.writer import RunWriter
from unplateau.workflows.choosing import confirm
from unplateau.workflows.choosing.select import report_on_folder, run_select
from unplateau.workflows.choosing.select_request import SelectRequest

FAKE = Path(__file__).parents[1] / "fake_trainer.py"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    true_command = confirm.train_command

    def fake_command(*words: object, **options: object) -> list[str]:
        return [sys.executable, str(FAKE), *true_command(*words, **options)[4:]]  # type: ignore[arg-type]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(confirm, "train_command", fake_command)
    monkeypatch.setattr(confirm, "_LOOK_EVERY_SECONDS", 0.02)
    for name, gain, rate in (("good", 0.10, 0.0007), ("fair", 0.09, 0.0005), ("poor", -0.1, 0.0001)):
        write_run(tmp_path / "runs" / name, seed=0, gain=gain, **{"SOLVER.BASE_LR": rate})
    return tmp_path / "runs"


def _calls(folder: Path) -> list[str]:
    return [str(call["name"]) for call in read_json_lines(folder.parent / "calls.jsonl")]


def test_the_undecided_ones_are_trained_with_fresh_seeds_which_alone_count(folder: Path) -> None:
    assert run_select(SelectRequest(folder, seeds=2, top=2, is_quiet=True)) == 0
    assert sorted(_calls(folder)) == ["fair_seed1", "fair_seed2", "good_seed1", "good_seed2"]
    report = report_on_folder(SelectRequest(folder))
    ranked = {one.name: one for one in report.selection.ranked}
    assert {run.name for run in ranked["good"].runs} == {"confirmed/good_seed1", "confirmed/good_seed2"}
    assert not ranked["poor"].is_candidate and ranked["poor"].behind_winner is None
    assert any("helped to choose" in note for note in report.notes)
    assert "looked at once" in (folder / "BEST_MODEL_SELECTION.txt").read_text()


def test_what_is_finished_is_not_trained_again_and_more_seeds_are_added(folder: Path) -> None:
    run_select(SelectRequest(folder, seeds=1, top=2, is_quiet=True))
    plan = read_json(folder / "confirmation.json")
    run_select(SelectRequest(folder, seeds=2, top=2, is_quiet=True))
    assert sorted(_calls(folder)) == ["fair_seed1", "fair_seed2", "good_seed1", "good_seed2"]
    assert read_json(folder / "confirmation.json") == plan


def test_a_run_that_fails_costs_one_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(folder.parent / "behaviour.json", {"good_seed1": "oom"})
    assert run_select(SelectRequest(folder, seeds=2, top=2)) == 0
    assert "failed" in capsys.readouterr().out
    write_json(folder.parent / "behaviour.json", {})
    run_select(SelectRequest(folder, seeds=2, top=2, is_quiet=True))
    assert _calls(folder).count("good_seed1") == 2 and _calls(folder).count("fair_seed1") == 1
    assert "--resume" in next(call for call in read_json_lines(folder.parent / "calls.jsonl")[::-1])["flags"]


def test_fresh_seeds_of_one_recipe_alone_are_not_mixed_with_the_seed_that_chose_it(folder: Path) -> None:
    write_json(folder.parent / "behaviour.json", {"fair_seed1": "refuse"})
    run_select(SelectRequest(folder, seeds=1, top=2, is_quiet=True))
    report = report_on_folder(SelectRequest(folder))
    assert [run.name for run in report.selection.ranked[0].runs] == ["good"]
    assert any("confirmed/good_seed1 does not count" in note for note in report.notes)


def test_fresh_seeds_of_a_run_that_halving_dropped_are_trained_to_the_end(folder: Path) -> None:
    reason = StopReason("paused", "Dropped by halving in round 1, after 3 of 3 epochs", epochs_trained=3, max_epochs=3)
    RunWriter(RunFolder(folder / "fair")).stop(reason, "STOPPING REASON\n")
    run_select(SelectRequest(folder, seeds=1, top=2, is_quiet=True))
    calls = {call["name"]: call["overrides"] for call in read_json_lines(folder.parent / "calls.jsonl")}
    assert calls["fair_seed1"][-2:] == ["SOLVER.STOP_EPOCH", "0"] and "SOLVER.STOP_EPOCH" not in calls["good_seed1"]


def test_what_was_chosen_before_is_said_and_a_single_one_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="--top 1 leaves nothing"):
        run_select(SelectRequest(folder, seeds=1, top=1))
    write_json(folder / "confirmation.json", {"recipes": {}, "first_seed": 1})
    run_select(SelectRequest(folder, seeds=1, top=3))
    assert "Going on with what" in capsys.readouterr().out


def test_fresh_runs_are_not_named_after_the_seed_that_chose_them() -> None:
    assert confirm._as_folders(["base_seed0", "deep/wide_seed3"]) == {"base_seed0": "base", "deep/wide_seed3": "deep_wide"}
    assert confirm._as_folders(["base_seed0", "base"]) == {"base_seed0": "base_seed0", "base": "base"}


def test_a_single_recipe_cannot_be_decided_between(tmp_path: Path) -> None:
    write_run(tmp_path / "only", seed=0)
    with pytest.raises(UsageError, match="needs two recipes"):
        run_select(SelectRequest(tmp_path, seeds=2))


def test_what_was_chosen_before_and_cannot_be_read_is_said(folder: Path) -> None:
    for content in ("{", "[1]", '{"recipes": 5, "first_seed": 1}'):
        (folder / "confirmation.json").write_text(content, encoding="utf-8")
        with pytest.raises(RecordError, match="confirmation.json cannot be read.*Delete it"):
            run_select(SelectRequest(folder, seeds=1, top=2, is_quiet=True))
