"""The harness sees what it is there to see: records, models and reasons that are not as they must be."""

import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

if sys.platform != "linux":
    pytest.skip("the harness forks and waits by pidfd", allow_module_level=True)

from benchmarks.faults.kill_and_resume import differences
from benchmarks.faults.stage import Fault, Played, Stage, _intact, _reason
from benchmarks.faults.table import write_table
from unplateau.base.files import read_json, read_json_lines, write_json
from unplateau.engine.model_file import save_model
from unplateau.testing.small_market import Lab

PLAYED = Played("at step 3", 0, "", ("completed",))


@pytest.fixture
def stage(lab: Lab) -> Stage:
    for name in ("whole", "run"):
        lab.train(name, "SOLVER.MAX_EPOCH 2")
    return Stage(lab, "run", "Adam", random.Random(0), "whole")


def test_a_run_as_it_must_be_has_no_problem(stage: Stage) -> None:
    problems: list[str] = []
    assert (_reason(stage, PLAYED, problems), problems, _intact(stage, ())) == ("completed", [], [])
    assert differences(stage.whole_folder, stage.folder) == ()


def test_a_wrong_reason_and_a_wrong_exit_code_are_seen(stage: Stage) -> None:
    problems: list[str] = []
    _reason(stage, replace(PLAYED, expected=("diverged",), code=1), problems)
    assert "left the reason 'completed', expected 'diverged'" in problems[0]
    assert "left with 1, its reason says 0" in problems[1]


def test_a_changed_record_and_a_lost_one_are_seen(stage: Stage) -> None:
    lines = read_json_lines(stage.folder.metrics)
    stage.folder.metrics.write_text(
        stage.folder.metrics.read_text().replace(f'"total_loss": {lines[0]["total_loss"]}', '"total_loss": 1.0')
    )
    assert "not those of the undisturbed run" in _intact(stage, ())[0]
    stage.folder.metrics.write_text("")
    assert _intact(stage, ()) == ["an epoch that is saved is not recorded"]


def test_another_model_is_seen(stage: Stage) -> None:
    import torch

    save_model(stage.folder.best_model, torch.nn.Linear(1, 1), config_yaml="", facts={})
    record = read_json(stage.folder.model_info)
    write_json(stage.folder.model_info, {**record, "test": []})
    assert differences(stage.whole_folder, stage.folder) == ("best_model.pth", "test scores")


def test_the_table_counts_what_was_not_as_promised(tmp_path: Path) -> None:
    fault = Fault("kill", "SIGKILL", lambda stage: PLAYED)
    outcomes = [
        {
            "fault": "kill",
            "round": number,
            "how": "at step 1",
            "reason": "killed",
            "problems": ["had not ended after 9 s"] * number,
        }
        for number in (0, 1)
    ]
    write_table(tmp_path, (fault,), outcomes, seed=0)
    text = (tmp_path / "faults.md").read_text(encoding="utf-8")
    assert "**2 faults of 1 kinds: 1 as promised, 1 hangs, 0 wrong reasons.**" in text
    assert "| kill | SIGKILL | 2 | 1 | killed 2 |" in text and "- kill 1, at step 1: had not ended" in text
