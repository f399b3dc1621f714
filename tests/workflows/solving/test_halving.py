"""Halving executes its rounds: slices are frozen and resumed, dropped runs say so, and a kill changes nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from unplateau.base.errors import UsageError
from unplateau.base.files import read_json, write_json
from unplateau.runs.layout import RunFolder
from unplateau.runs.reader import read_stop
from unplateau.testing.small_market import Lab, same_tensors, without_times
from unplateau.workflows.choosing.select import run_select
from unplateau.workflows.choosing.select_request import SelectRequest
from unplateau.workflows.solving import run_solutions as launcher
from unplateau.workflows.solving.solution_runs import CONTROL

from ..desk import ALL, COSINE, HIGHER, Desk

PLAN = "0.5:0.5,0.75:0.34"  # of three runs with eight epochs: two go on after epoch 4, the same two train to the end
EIGHT = ("SOLVER.MAX_EPOCH", "8")


def _calls(desk: Desk) -> list[tuple[object, object, str]]:
    """Name, flags and the slice's end of every training."""
    return [(call["name"], call["flags"], str(call["overrides"][-1])) for call in desk.calls]  # type: ignore[index]


def test_a_slice_of_each_then_the_better_part_goes_on(desk: Desk) -> None:
    report = desk.report(*EIGHT, halving="0.5:0.5,0.75:0.3")
    assert _calls(desk)[:3] == [(name, [], "4") for name in ALL]
    second = [call for call in _calls(desk)[3:] if call[2] == "6"]
    assert len(second) == 2 and (HIGHER, ["--resume"], "6") in second
    assert _calls(desk)[5:] == [(HIGHER, ["--resume"], "0")]
    assert desk.lines[0] == f"WINNER: {HIGHER}"
    assert [len(run.epochs) for run in report.tried if run.name == HIGHER] == [8]
    assert sum(len(run.epochs) for run in report.tried) == 4 + 6 + 8


def test_the_text_tells_the_rounds_and_what_they_may_have_cost(desk: Desk) -> None:
    desk.run(*EIGHT, halving="0.5:0.3")
    text = " ".join(desk.text.split())
    assert "ROUNDS OF HALVING:" in desk.lines
    assert "16 epochs were trained, 67% of the 24 that all runs take to the end." in text
    assert f"Round 1, after 50% of a run's epochs: kept {HIGHER}" in text
    assert f"{COSINE}: dropped after epoch 4, mAP" in text and f"{HIGHER}, the last that was kept, was ahead by +" in text
    assert "What this may have cost:" in text and "was not measured" in text
    assert "(2 runs were dropped before the end" in desk.lines[1] and "clear winner, " not in desk.lines[1]
    assert read_json(desk.output / "selection.json")["halving"]["epochs_trained"] == 16


def test_comparing_again_keeps_the_rounds_as_long_as_a_dropped_run_is_frozen(desk: Desk) -> None:
    desk.behave(**{CONTROL: "refuse"})  # a run without a score: its minus infinity is null in the record
    desk.run(*EIGHT, halving="0.5:0.5")
    told = _rounds_of(desk)
    assert any(f"{COSINE}: dropped after epoch 4" in line for line in told)
    for _ in range(2):  # read back from what comparing has written itself
        assert run_select(SelectRequest(desk.output, is_quiet=True)) == 0
        assert _rounds_of(desk) == told
        assert "compared up to there, see ROUNDS" in desk.lines[1]
    desk.behave()
    desk.run(*EIGHT)
    assert run_select(SelectRequest(desk.output, is_quiet=True)) == 0
    assert _rounds_of(desk) == []


def test_a_damaged_record_costs_the_rounds_and_says_so(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.run(*EIGHT, halving="0.5:0.3")
    record = read_json(desk.output / "selection.json")
    write_json(desk.output / "selection.json", {**record, "halving": {"standings": {"rounds": [7]}}})
    assert run_select(SelectRequest(desk.output, is_quiet=True)) == 0
    assert _rounds_of(desk) == [] and "the rounds of halving are left out" in caplog.text


def _rounds_of(desk: Desk) -> list[str]:
    """The lines of the section on rounds."""
    return desk.text.partition("ROUNDS OF HALVING:\n")[2].partition("\n\n")[0].splitlines()


def test_where_none_trained_nothing_is_said_of_drops_and_their_cost(desk: Desk) -> None:
    desk.behave(**dict.fromkeys(ALL, "refuse"))
    assert desk.run(*EIGHT, halving="0.5:0.3").exit_code == 1
    assert desk.lines[0] == "WINNER: none trained" and "dropped" not in desk.lines[1]
    assert "What this may have cost" not in desk.text


def test_a_dropped_run_says_why_it_stopped_and_how_to_go_on(desk: Desk) -> None:
    desk.run(*EIGHT, halving="0.5:0.3")
    stop = read_stop(RunFolder(desk.output / COSINE))
    assert stop is not None and stop.code == "paused"
    assert stop.headline == "Dropped by halving in round 1, after 4 of 8 epochs"
    text = (desk.output / COSINE / "STOPPING_REASON.txt").read_text(encoding="utf-8")
    assert text.startswith(f"STOPPING REASON: {stop.headline}\n")
    assert f"behind {HIGHER}, the last that went on" in " ".join(text.split())


def test_a_later_round_compares_a_dropped_run_up_to_its_cut(desk: Desk) -> None:
    report = desk.report(*EIGHT, halving="0.5:0.3")
    behind = report.selection.named(COSINE).behind_winner  # type: ignore[union-attr]
    assert behind is not None
    rows = {name: read_json(desk.output / name / "training_history.json")["epochs"] for name in (HIGHER, COSINE)}
    at_cut = rows[HIGHER][3]["validation"]["mAP"] - rows[COSINE][3]["validation"]["mAP"]
    assert behind.estimate.value == pytest.approx(at_cut, abs=1e-6)


def test_started_again_nothing_is_trained_twice(desk: Desk) -> None:
    desk.run(*EIGHT, halving=PLAN)
    calls, text = len(desk.calls), desk.text
    desk.run(*EIGHT, halving=PLAN)
    assert len(desk.calls) == calls and desk.text == text


def test_without_halving_every_run_goes_on_where_it_is_frozen(desk: Desk) -> None:
    desk.run(*EIGHT, halving="0.5:0.3")
    report = desk.report(*EIGHT)
    assert [call[:2] for call in _calls(desk)[4:]] == [(CONTROL, ["--resume"]), (COSINE, ["--resume"])]
    assert [len(run.epochs) for run in report.tried] == [8, 8, 8]
    assert "ROUNDS OF HALVING:" not in desk.lines


def test_runs_that_are_finished_already_are_compared_at_the_cut_and_not_trained(desk: Desk) -> None:
    desk.run(*EIGHT)
    report = desk.report(*EIGHT, halving="0.5:0.3")
    assert len(desk.calls) == 3
    assert report.rounds is not None and set(report.rounds.standings.dropped) == {CONTROL, COSINE}
    assert read_stop(RunFolder(desk.output / COSINE)).code == "completed"  # type: ignore[union-attr]


@pytest.mark.parametrize("behaviour", ["oom", "crash", "diverge", "refuse"])
def test_a_failed_run_is_out_and_the_rounds_go_on(desk: Desk, behaviour: str) -> None:
    desk.behave(**{COSINE: behaviour})
    assert desk.run(*EIGHT, halving=PLAN).exit_code == 0
    assert [call[0] for call in _calls(desk)].count(COSINE) == 1
    assert desk.lines[0] == f"WINNER: {HIGHER}"
    assert COSINE in desk.text


def test_a_run_that_failed_for_a_reason_that_may_pass_is_tried_again_next_time(desk: Desk) -> None:
    desk.behave(**{COSINE: "oom"})
    desk.run(*EIGHT, halving="0.5:0.5")
    desk.behave()
    before = len(desk.calls)
    desk.run(*EIGHT, halving="0.5:0.5")
    assert _calls(desk)[before:][0] == (COSINE, ["--resume"], "4")


@pytest.mark.parametrize("killed_at", range(1, 6))
def test_a_launcher_that_is_killed_goes_on_where_it_stood(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, killed_at: int
) -> None:
    class Killed(BaseException):
        pass

    true_follow, trainings = launcher._follow, []

    def follow(*words: object) -> int:
        code = true_follow(*words)  # type: ignore[arg-type]
        trainings.append(code)
        if len(trainings) == killed_at:
            raise Killed
        return code

    monkeypatch.setattr(launcher, "_follow", follow)
    with pytest.raises(Killed):
        desk.run(*EIGHT, halving="0.5:0.5,0.75:0.3")
    report = desk.report(*EIGHT, halving="0.5:0.5,0.75:0.3")
    assert sum(len(run.epochs) for run in report.tried) == 4 + 6 + 8
    assert len(trainings) == 6
    assert desk.lines[0] == f"WINNER: {HIGHER}"


def test_a_run_broken_off_within_its_slice_finishes_it_first(desk: Desk) -> None:
    desk.run(*EIGHT, halving=PLAN)
    (desk.output / COSINE / "stop.json").unlink()
    before = len(desk.calls)
    desk.run(*EIGHT, halving=PLAN)
    assert _calls(desk)[before:] == [(COSINE, ["--resume"], "4")] or _calls(desk)[before:] == [(COSINE, ["--resume"], "0")]


def test_the_console_shows_the_rounds(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.run(*EIGHT, halving="0.5:0.3")
    said = capsys.readouterr().out
    assert f"Round 1 of 2: {CONTROL} to epoch 4, {HIGHER} to epoch 4, {COSINE} to epoch 4" in said
    assert f"Go on: {HIGHER}" in said and f"{COSINE}: dropped in round 1" in said
    assert f"{HIGHER}: waits after epoch 4" in said and f"Round 2 of 2: {HIGHER} to epoch 8" in said


def test_a_changed_solution_is_not_passed_off_as_the_new_one(desk: Desk) -> None:
    desk.run(*EIGHT, halving="0.5:0.3")
    desk.write(COSINE, "SOLVER: {SCHED: CosineAnnealingLR, BASE_LR: 0.1}")
    with pytest.raises(UsageError, match=f"{COSINE}: SOLVER.BASE_LR"):
        desk.run(*EIGHT, halving="0.5:0.3")
    desk.run(*EIGHT, halving="0.5:0.3", restart_changed=True)
    assert _calls(desk)[-1] == (COSINE, ["--restart"], "4")


def test_runs_that_are_scored_otherwise_are_refused(desk: Desk) -> None:
    desk.write(COSINE, "VALIDATION: {HELD_OUT: 0.3}")
    with pytest.raises(UsageError, match="is scored otherwise than .* [(]VALIDATION.HELD_OUT[)]"):
        desk.run(halving="half")
    assert desk.calls == []


def test_a_wrong_plan_is_refused_before_anything_begins(desk: Desk) -> None:
    with pytest.raises(UsageError, match="--halving-plan most"):
        desk.run(halving="most")
    assert desk.calls == []


def test_the_command_to_go_on_with_names_the_plan(desk: Desk) -> None:
    from unplateau.workflows.solving.solution_runs import SolutionsRequest

    command = SolutionsRequest(desk.folder, desk.output, score_test=False, halving="third").command
    assert command.endswith("--no-test --halving --halving-plan third")


@pytest.mark.slow
def test_a_real_run_in_slices_is_the_uninterrupted_run_to_the_bit(lab: Lab, tmp_path: Path) -> None:
    folder = lab.place / "solutions"
    folder.mkdir(parents=True)
    for name, text in ((HIGHER, "SOLVER: {BASE_LR: 0.02}"), ("solution_2_slow", "SOLVER: {BASE_LR: 0.00001}")):
        (folder / f"{name}.yml").write_text(f"_BASE_: ../recipe.yml\n{text}\n")
    assert lab.recipe.exists()
    for kind, flags in (("all", []), ("halved", ["--halving", "--halving-plan", "0.3:0.6,0.7:0.3"])):
        words = ["run-solutions", str(folder), "--output-dir", str(tmp_path / kind), "--no-test", *flags, "SOLVER.MAX_EPOCH", "5"]
        result = subprocess.run(
            [sys.executable, "-m", "unplateau.cli.main", *words], capture_output=True, text=True, timeout=500, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
    heads = [
        (tmp_path / kind / "BEST_MODEL_SELECTION.txt").read_text(encoding="utf-8").splitlines()[0] for kind in ("all", "halved")
    ]
    assert heads[0] == heads[1]
    winner = heads[0].removeprefix("WINNER: ")
    both = [RunFolder(tmp_path / kind / winner) for kind in ("all", "halved")]
    assert same_tensors(both[0].final_model, both[1].final_model) and same_tensors(both[0].best_model, both[1].best_model)
    assert without_times(read_json(both[0].history)["epochs"]) == without_times(read_json(both[1].history)["epochs"])
    told = read_json(tmp_path / "halved" / "selection.json")["halving"]
    assert told["epochs_trained"] < told["epochs_of_all"] == 15
