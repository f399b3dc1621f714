"""All solutions are tried, whatever becomes of one of them; started again it goes on; the end names the model to use."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from unplateau.base.errors import ConfigError, DataNotFoundError, UsageError
from unplateau.base.files import read_json, write_json
from unplateau.base.locks import FileLock
from unplateau.runs.layout import RunFolder
from unplateau.runs.record import RetrievalMetrics
from unplateau.testing.small_market import Lab
from unplateau.workflows.reporting import report_group
from unplateau.workflows.solving import run_solutions as launcher
from unplateau.workflows.solving.run_solutions import run_solutions
from unplateau.workflows.solving.solution_runs import CONTROL, SolutionsRequest
from unplateau.workflows.training import score

from ..desk import ALL, COSINE, HIGHER, TEST_SCORE, Desk


def test_the_control_and_all_solutions_are_trained_and_the_best_is_named(desk: Desk) -> None:
    outcome = desk.run()
    assert outcome.exit_code == 0
    assert [call["name"] for call in desk.calls] == list(ALL)
    assert all(call["overrides"][-2:] == ["VALIDATION.SCORE_TEST", "False"] for call in desk.calls)  # type: ignore[index]
    assert desk.lines[0] == f"WINNER: {HIGHER}"
    assert desk.lines[1].startswith("HOW SURE: clear winner")
    for title in ("WHY:", "METRICS:", "HYPERPARAMETERS:", "WHAT DIFFERS FROM THE STALLED RUN:", "FILES:", "WHAT TO DO NEXT:"):
        assert title in desk.lines
    assert "  SOLVER.BASE_LR: 0.0003 -> 0.0007" in desk.text or "-> 0.0007" in desk.text
    assert "EXPECTED AGAINST WHAT HAPPENED:" in desk.text and "expected, as asked: CE 6.7 -> 5.5-6.0" in desk.text
    assert f"{HIGHER}: helped: +" in desk.text
    assert "hypothesis: too small steps." in desk.text
    assert 'never "this recipe is better"' in desk.text.replace("\n    ", " ")
    assert "TEST mAP: 0.4500" in desk.text


def test_the_folder_gets_a_page_with_the_same_winner_and_its_test_score(desk: Desk) -> None:
    desk.run()
    html = (desk.output / "report.html").read_text(encoding="utf-8")
    assert f"{HIGHER} is the one to take, with " in html
    assert "Winner&#39;s test mAP" in html
    assert all(f'href="{name}/report.html"' in html for name in ALL)


def test_the_page_beside_the_training_names_what_trains_what_waits_and_what_is_left(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_group, "LARGEST_SHARE", 1e9)
    pages = []
    true_train = launcher._train

    def train(*words: object) -> str:
        problem = true_train(*words)  # type: ignore[arg-type]
        pages.append((desk.output / "report.html").read_text(encoding="utf-8"))
        return problem

    monkeypatch.setattr(launcher, "_train", train)
    desk.run()
    assert '<body class="solutions">' in pages[1] and "change</th>" in pages[1] and "BASE_LR 0.0007" in pages[1]
    assert f"now {HIGHER}, epoch 3 of 3" in pages[1]
    rows = re.findall(r'<th scope="row">(\w+)</th>\s*<td class="[\w ]*">(\w+)</td>\s*<td class="number">(\d of \d)', pages[1])
    assert rows == [(CONTROL, "finished", "3 of 3"), (HIGHER, "training", "3 of 3"), (COSINE, "waiting", "0 of 3")]
    assert "Left, about</dt><dd>3.0 s" in pages[1]  # the stand-in's epochs say that they take a second
    assert "Left, about" not in (desk.output / "report.html").read_text(encoding="utf-8")


def test_the_overrides_reach_every_run(desk: Desk) -> None:
    report = desk.report("SOLVER.MAX_EPOCH", "2")
    assert [len(run.epochs) for run in report.tried] == [2, 2, 2]


def test_overrides_that_make_a_solution_equal_to_the_control_are_said(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.run("SOLVER.BASE_LR", "0.001")
    assert f"nothing is left that differs from the control in {HIGHER}" in capsys.readouterr().out
    assert f"nothing is left that differs from the control in {HIGHER}" in desk.text.replace("\n    ", " ")


def test_the_test_set_is_scored_after_the_selection_is_written_and_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def scored(config_file: Path, overrides: tuple[str, ...]) -> tuple[RetrievalMetrics, ...]:
        seen.append(desk.text)
        assert overrides == ("MODEL.WEIGHTS", (desk.output / HIGHER / "best_model.pth").as_posix())
        return (TEST_SCORE,)

    monkeypatch.setattr(score, "run_scoring", scored)
    desk.run()
    desk.run()
    assert len(seen) == 1
    assert seen[0].startswith(f"WINNER: {HIGHER}\n") and "TEST mAP: not scored yet" in seen[0]
    assert "TEST mAP: 0.4500" in desk.text
    assert read_json(desk.output / "selection.json")["winner"] == HIGHER


def test_a_failing_test_score_leaves_the_selection(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(config_file: Path, overrides: tuple[str, ...]) -> tuple[RetrievalMetrics, ...]:
        raise RuntimeError("CUDA out of memory\nmore")

    monkeypatch.setattr(score, "run_scoring", fails)
    assert desk.run().exit_code == 0
    assert "TEST mAP: not scored: scoring failed: CUDA out of memory" in desk.text


@pytest.mark.parametrize(
    ("behaviour", "ended"),
    [
        ("oom", "ended: Out of memory (1/3)"),
        ("crash", "ended: Error: the process ended without a word (killed, power loss, or the system ran out of memory) (1/3)"),
        ("diverge", "ended: Error: cross_entropy became nan (1/3)"),
        (
            "refuse",
            "ended: failed: The process ended without a written reason (exit code 2). It said: error: the data set is not",
        ),
    ],
)
def test_a_failed_solution_is_recorded_and_the_others_go_on(desk: Desk, behaviour: str, ended: str) -> None:
    desk.behave(**{HIGHER: behaviour})
    assert desk.run().exit_code == 0
    assert [call["name"] for call in desk.calls] == list(ALL)
    assert ended in desk.text.replace("\n      ", " ")
    if behaviour == "oom":
        assert f"{HIGHER}: out of memory. Retry with a smaller batch" in desk.text


def test_a_run_that_goes_on_and_is_killed_then_has_its_reason_too(desk: Desk) -> None:
    for behaviour in ("oom", "crash"):
        desk.behave(**{HIGHER: behaviour})
        desk.run()
    assert read_json(RunFolder(desk.output / HIGHER).stop_record)["code"] == "killed"


def test_a_file_with_a_problem_costs_only_itself(desk: Desk) -> None:
    desk.write("solution_3_wrong", "SOLVER: {BASE_LRR: 1}")
    assert desk.run().exit_code == 0
    assert [call["name"] for call in desk.calls] == list(ALL)
    assert "Did you mean SOLVER.BASE_LR?" in desk.text


def test_none_trained_is_said_and_the_exit_code_tells(desk: Desk) -> None:
    desk.behave(**dict.fromkeys(ALL, "refuse"))
    assert desk.run().exit_code == 1
    assert desk.lines[0] == "WINNER: none trained"
    assert desk.lines[1].startswith("HOW SURE: there is nothing to choose from")
    assert "every run goes on where it stood" in desk.text.replace("\n    ", " ")


def test_started_again_finished_runs_rest_and_the_others_go_on(desk: Desk) -> None:
    desk.behave(**{HIGHER: "oom", COSINE: "diverge"})
    desk.run()
    desk.behave()
    report = desk.report()
    calls = desk.calls[3:]
    assert [(call["name"], call["flags"]) for call in calls] == [(HIGHER, ["--resume"])]  # a diverged run would diverge again
    assert [len(run.epochs) for run in report.tried] == [3, 3, 1]


def test_more_epochs_continue_every_run(desk: Desk) -> None:
    desk.run()
    report = desk.report("SOLVER.MAX_EPOCH", "4")
    assert [call["flags"] for call in desk.calls[3:]] == [["--resume"]] * 3
    assert [len(run.epochs) for run in report.tried] == [4, 4, 4]


def test_a_changed_solution_is_not_passed_off_as_the_new_one(desk: Desk) -> None:
    desk.run()
    desk.write(HIGHER, "SOLVER: {BASE_LR: 0.0009}")
    with pytest.raises(UsageError, match=f"{HIGHER}: SOLVER.BASE_LR"):
        desk.run()
    assert len(desk.calls) == 3
    desk.run(restart_changed=True)
    assert [(call["name"], call["flags"]) for call in desk.calls[3:]] == [(HIGHER, ["--restart"])]
    assert (desk.output / f"{HIGHER}_before1").is_dir()
    assert "-> 0.0009" in desk.text


@pytest.mark.skipif(os.name == "nt", reason="Windows has no os.kill for these signals")
def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys) -> None:  # type: ignore[no-untyped-def]
    desk.behave(**{HIGHER: "slow"})
    true_look, started = launcher.SolutionsConsole.look, []

    def look(self: object, name: str) -> None:
        true_look(self, name)  # type: ignore[arg-type]
        is_there = (desk.output / HIGHER / "log.txt").exists()
        if name == HIGHER and is_there and not started:
            started.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(launcher.SolutionsConsole, "look", look)
    outcome = desk.run()
    assert (outcome.chosen, outcome.exit_code) == (None, 130)
    assert [call["name"] for call in desk.calls] == [CONTROL, HIGHER]
    assert read_json(desk.output / HIGHER / "stop.json")["code"] == "interrupted"
    said = capsys.readouterr().out
    assert "Go on with:  unplateau run-solutions" in said and "Traceback" not in said
    assert not (desk.output / "BEST_MODEL_SELECTION.txt").exists()


def test_a_run_trained_by_another_process_is_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = FileLock(desk.output / HIGHER / ".lock")
    assert lock.acquire()
    waited: list[str] = []
    true_set_state = launcher.SolutionsConsole.set_state

    def set_state(self: launcher.SolutionsConsole, name: str, state: str, detail: str = "") -> None:
        true_set_state(self, name, state, detail)
        if state == "trained by another process":
            waited.append(name)
            if len(waited) == 3:
                lock.release()

    monkeypatch.setattr(launcher.SolutionsConsole, "set_state", set_state)
    assert desk.run().exit_code == 0
    assert waited == [HIGHER] * 3
    assert [call["name"] for call in desk.calls] == list(ALL)


def test_two_launchers_do_not_share_a_folder(desk: Desk) -> None:
    lock = FileLock(desk.output / "launcher" / ".lock")
    assert lock.acquire()
    try:
        with pytest.raises(UsageError, match="Another run-solutions is at work"):
            desk.run()
    finally:
        lock.release()


def test_an_empty_folder_is_refused(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="There is no folder"):
        run_solutions(SolutionsRequest(tmp_path / "nothing", desk.output))
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataNotFoundError, match="holds no solution file"):
        run_solutions(SolutionsRequest(tmp_path / "nothing", desk.output))


def test_when_no_file_can_be_used_nothing_begins(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="NO_SUCH_KEY"):
        desk.run("NO_SUCH_KEY", "1")
    assert desk.calls == []


def test_without_held_out_identities_nothing_begins(desk: Desk) -> None:
    with pytest.raises(UsageError, match="no run can be chosen"):
        desk.run("VALIDATION.HELD_OUT", "0")


def test_the_output_folder_has_its_own_option(desk: Desk) -> None:
    with pytest.raises(UsageError, match="--output-dir"):
        desk.run("OUTPUT_DIR", "elsewhere")


def test_a_control_that_failed_preflight_means_that_none_can_help(desk: Desk) -> None:
    desk.run()
    stop = desk.output / CONTROL / "stop.json"
    write_json(stop, {**read_json(stop), "code": "preflight", "headline": "Error: no weight moved"})
    desk.behave(**{CONTROL: "refuse"})
    desk.write(HIGHER, "SOLVER: {BASE_LR: 0.0007}")
    report = desk.report()
    assert report.broken_pipeline.startswith("the control did not pass preflight: no weight moved")
    assert HIGHER in report.helped and desk.lines[2].startswith(f"THE CONTROL IS BROKEN, and {HIGHER}")


def test_files_without_a_base_have_no_control(desk: Desk) -> None:
    for name in (HIGHER, COSINE):
        (desk.folder / f"{name}.yml").write_text("SOLVER: {MAX_EPOCH: 2}\n")
    report = desk.report()
    assert report.control is None
    assert "cannot be said: there is no control to compare it with" in desk.text
    assert "the solution files name no configuration that they change" in desk.text


@pytest.mark.slow
def test_real_trainings_with_a_failed_one_and_a_test_score(lab: Lab, tmp_path: Path) -> None:
    folder = lab.place / "solutions"
    folder.mkdir(parents=True)
    for name, text in (
        (HIGHER, "SOLVER: {BASE_LR: 0.02}"),
        ("solution_2_no_images", "DATASETS: {ROOT: /nowhere}"),
    ):
        (folder / f"{name}.yml").write_text(f"_BASE_: ../recipe.yml\n{text}\n")
    assert lab.recipe.exists()
    command = [sys.executable, "-m", "unplateau.cli.main", "run-solutions", str(folder), "--output-dir", str(tmp_path / "out")]
    result = subprocess.run([*command, "SOLVER.MAX_EPOCH", "2"], capture_output=True, text=True, timeout=500, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    text = (tmp_path / "out" / "BEST_MODEL_SELECTION.txt").read_text(encoding="utf-8")
    assert text.startswith("WINNER: solution_")
    assert "TEST mAP: 0." in text
    assert "solution_2_no_images: no validated model" in text
    record = read_json(tmp_path / "out" / "selection.json")
    assert record["tests"][0]["protocol"] == "test"
    assert read_json(tmp_path / "out" / HIGHER / "model_info.json")["test"] == []
    assert "Traceback" not in result.stdout + result.stderr
