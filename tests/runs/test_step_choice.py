"""The choice of a step comes back from its file as it was, and is told in one line."""

import re

import pytest

from unplateau.base.errors import CheckpointError
from unplateau.runs.layout import RunFolder
from unplateau.runs.step_choice import StepChoice, StepTiming, StepWay, read_step_choice, write_step_choice

PLAIN, HALF = StepWay("fp32", False), StepWay("bf16", True)
TIMINGS = (
    StepTiming(PLAIN, 0.5),
    StepTiming(HALF, 0.25, 0.001, 0.7, 0.998),
    StepTiming(StepWay("bf16", False), float("inf"), problem="it failed"),
)
MEASURED = StepChoice(HALF, "measured", TIMINGS, "CPU with 2 threads, torch 2.14", 3.2)


@pytest.mark.parametrize(
    "choice", [MEASURED, StepChoice(PLAIN, "set"), StepChoice(StepWay("bf16", True, is_graphed=True), "rule")]
)
def test_a_choice_comes_back_as_it_was_written(tmp_path, choice: StepChoice) -> None:
    write_step_choice(RunFolder(tmp_path), choice)
    assert read_step_choice(RunFolder(tmp_path)) == choice


def test_a_choice_of_before_there_were_graphs_is_one_without(tmp_path) -> None:
    write_step_choice(RunFolder(tmp_path), MEASURED)
    text = RunFolder(tmp_path).step_choice.read_text(encoding="utf-8")
    before = re.sub(r',\s*"is_graphed": false', "", text)
    assert before != text
    RunFolder(tmp_path).step_choice.write_text(before, encoding="utf-8")
    assert read_step_choice(RunFolder(tmp_path)) == MEASURED


def test_a_run_without_a_choice_is_one_by_rule(tmp_path) -> None:
    assert read_step_choice(RunFolder(tmp_path)) is None


@pytest.mark.parametrize("text", ["{", "{}", '{"way": 3}', "[]", "[" * 200_000])
def test_a_damaged_file_is_said_and_how_to_go_on(tmp_path, text: str) -> None:
    RunFolder(tmp_path).step_choice.write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match="Delete the file to go on"):
        read_step_choice(RunFolder(tmp_path))


def test_the_line_says_what_was_gained_against_what() -> None:
    line = MEASURED.line()
    assert "bf16, channels last: 250 ms a step, 2.00 times as fast as fp32, contiguous" in line
    assert "loss equal to 0.1 %" in line
    kept = StepChoice(PLAIN, "measured", TIMINGS[:1], "", 1.0)
    assert "nothing else was faster by enough" in kept.line()
    assert "as the configuration says" in StepChoice(PLAIN, "set").line()
