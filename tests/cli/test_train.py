"""The training command as people type it: exit codes, messages, no traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from unplateau.base.files import read_json
from unplateau.cli.main import main
from unplateau.testing.small_market import Lab

ROOT = Path(__file__).parents[2]


def _exit_code(*words: str) -> int:
    try:
        main(["train", *words])
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def test_a_run_from_the_command_line(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--config-file", str(lab.recipe), "--run-name", "typed")
    assert _exit_code(*words, "SOLVER.MAX_EPOCH", "1") == 0
    said = capsys.readouterr().out
    steps = ("Run typed: loading", "Training on", "Validation on", "Preflight passed", "epoch 1/1", "STOPPING REASON")
    assert sorted(map(said.index, steps)) == [said.index(step) for step in steps]
    assert "STOPPING REASON: Training completed all epochs" in said
    assert f"Use this:  {lab.folder('typed').best_model}" in said
    assert f"Read this: {lab.folder('typed').stopping_reason}" in said
    assert read_json(lab.folder("typed").stop_record)["max_epochs"] == 1
    assert _exit_code(*words, "--resume", "SOLVER.MAX_EPOCH", "2") == 0
    assert "epoch 2/2" in capsys.readouterr().out
    assert _exit_code(*words, "--resume", "SOLVER.MAX_EPOCH", "2") == 0
    assert "is finished: Training completed all epochs (2/2). Nothing was done." in capsys.readouterr().out


def test_the_command_a_run_recommends_can_be_typed(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    paused = lab.train("typed", "SOLVER.BASE_LR 0.001 SOLVER.STEPS [2] SOLVER.STOP_EPOCH 1")
    command = paused.reason.recommendation[1].partition("python train_research_grade.py ")[2]
    assert command.endswith("--resume SOLVER.STOP_EPOCH 0")
    assert _exit_code(*command.replace('"', "").split()) == 0
    assert read_json(lab.folder("typed").stop_record)["epochs_trained"] == 3


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "--config-file is missing"),
        (("--config-file", "{recipe}"), 2, "--run-name is missing"),
        (("--config-file", "nowhere.yml", "--run-name", "r"), 2, "nowhere.yml"),
        (("--config-file", "{recipe}", "--run-name", "../r"), 2, "cannot be a folder name"),
        (("--config-file", "{recipe}", "--run-name", "r", "SOLVER.BASE_RL", "1"), 2, "BASE_LR"),
        (("--config-file", "{recipe}", "--run-name", "r", "SOLVER.BASE_LR"), 2, "KEY VALUE"),
        (("--config-file", "{recipe}", "--run-name", "r", "--resume"), 2, "holds no run"),
        (("--config-file", "{recipe}", "--run-name", "r", "SOLVER.IMS_PER_BATCH", "18"), 2, "SOLVER.IMS_PER_BATCH"),
        (("--eval-only",), 2, "--eval-only needs --config-file"),
        (("--eval-only", "--config-file", "{recipe}"), 2, "MODEL.WEIGHTS is empty"),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_says_why(
    lab: Lab, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, message: str
) -> None:
    assert _exit_code(*(word.format(recipe=lab.recipe) for word in words)) == code
    said = capsys.readouterr()
    assert message in said.err
    assert "Traceback" not in said.err
    assert not (lab.place / "logs").exists()


def test_a_used_name_ends_with_2_and_the_choices(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.train("used", "SOLVER.MAX_EPOCH 1")
    assert _exit_code("--config-file", str(lab.recipe), "--run-name", "used", "SOLVER.MAX_EPOCH", "1") == 2
    assert "go on with it:" in capsys.readouterr().err


def test_a_stopped_run_leaves_with_75(lab: Lab) -> None:
    words = ("--config-file", str(lab.recipe), "--run-name", "short", "SOLVER.TIME_BUDGET_HOURS", "1e-9")
    assert _exit_code(*words) == 75


def test_a_model_file_is_scored(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    best = lab.train("run", "SOLVER.MAX_EPOCH 1").folder.best_model
    assert _exit_code("--eval-only", "--config-file", str(lab.recipe), "MODEL.WEIGHTS", str(best)) == 0
    assert "test Market1501: mAP " in capsys.readouterr().out


def test_refit_and_seeds_from_the_command_line(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "--config-file",
        str(lab.recipe),
        "--run-name",
        "many",
        "--refit",
        "--seeds",
        "2",
        "--quiet",
        "SOLVER.MAX_EPOCH",
        "1",
    )
    assert _exit_code(*words) == 0
    assert "2 seeds: mAP" in capsys.readouterr().out
    assert lab.folder("many_seed0_refit").best_model.exists()
    assert _exit_code(*words) == 0, "finished refits are not trained again"
    assert capsys.readouterr().out.count("Nothing was done") == 2


@pytest.mark.slow
def test_the_script_of_the_repository_is_the_same_command(lab: Lab) -> None:
    script = str(ROOT / "train_research_grade.py")
    command = [sys.executable, script, "--config-file", str(lab.recipe), "--run-name", "shim", "SOLVER.MAX_EPOCH", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=lab.place)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert lab.folder("shim").stopping_reason.exists()
