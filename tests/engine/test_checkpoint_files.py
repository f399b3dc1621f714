"""The files of checkpoints, where their list was damaged."""

from pathlib import Path

from unplateau.engine.checkpoint_files import Saved, whole_best
from unplateau.runs.layout import RunFolder


def test_a_name_that_no_file_can_have_names_no_best_model(tmp_path: Path) -> None:
    assert whole_best(RunFolder(tmp_path), Saved("epoch_0001.pth", 1, best="a" * 5_000)) is None
