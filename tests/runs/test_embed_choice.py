"""The choice of how images are embedded comes back from its file as it was, and is told in one line."""

import pytest

from unplateau.base.errors import CheckpointError
from unplateau.base.files import read_json, write_json
from unplateau.runs.embed_choice import EmbedChoice, EmbedTiming, EmbedWay, read_embed_choice, write_embed_choice
from unplateau.runs.layout import RunFolder

PLAIN, FOLDED = EmbedWay("fp32", False), EmbedWay("bf16", True, is_folded=True)
TIMINGS = (
    EmbedTiming(PLAIN, 0.5),
    EmbedTiming(FOLDED, 0.2, 0.998),
    EmbedTiming(EmbedWay("fp32", True), float("inf"), problem="it failed"),
)
MEASURED = EmbedChoice(FOLDED, "measured", TIMINGS, 16, "CPU with 2 threads, torch 2.14", 3.2)


@pytest.mark.parametrize("choice", [MEASURED, EmbedChoice(PLAIN, "set"), EmbedChoice(EmbedWay("bf16", True), "rule")])
def test_a_choice_comes_back_as_it_was_written(tmp_path, choice: EmbedChoice) -> None:
    write_embed_choice(RunFolder(tmp_path), choice)
    assert read_embed_choice(RunFolder(tmp_path)) == choice


def test_a_run_without_a_choice_says_nothing(tmp_path) -> None:
    assert read_embed_choice(RunFolder(tmp_path)) is None


@pytest.mark.parametrize("text", ["{", "{}", '{"way": 3}', "[]", "[" * 200_000])
def test_a_damaged_file_is_said_and_how_to_go_on(tmp_path, text: str) -> None:
    RunFolder(tmp_path).embed_choice.write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match="Delete the file to score as its steps were computed"):
        read_embed_choice(RunFolder(tmp_path))


@pytest.mark.parametrize(
    ("key", "value"),
    [("timings", []), ("way", {"number_format": "fp16", "channels_last": True}), ("num_images", "many"), ("spent_seconds", None)],
)
def test_a_file_whose_parts_do_not_belong_together_is_damaged(tmp_path, key: str, value: object) -> None:
    folder = RunFolder(tmp_path)
    write_embed_choice(folder, MEASURED)
    write_json(folder.embed_choice, {**read_json(folder.embed_choice), key: value})
    with pytest.raises(CheckpointError):
        read_embed_choice(folder)


def test_the_line_says_what_was_gained_against_what() -> None:
    line = MEASURED.line()
    assert "bf16, channels last, batch norms folded: 80 images a second, 2.50 times as fast as fp32, contiguous" in line
    kept = EmbedChoice(PLAIN, "measured", TIMINGS[:1], 16, "", 1.0)
    assert "nothing else was faster by enough" in kept.line()
    assert "as the configuration says" in EmbedChoice(PLAIN, "set").line()
