"""A run name is a folder name on every system and never leaves its folder."""

from pathlib import Path

import pytest

from unplateau.base.errors import UsageError
from unplateau.runs.layout import run_folder


@pytest.mark.parametrize("name", ["first_run", "r50-ibn", "lr=0.0007", "λ_sweep", "a", "v1.2"])
def test_ordinary_names_are_taken(name: str, tmp_path: Path) -> None:
    assert run_folder(tmp_path, name).path == tmp_path / name


BAD_NAMES = ["", "..", "../x", "a/b", "a\\b", "/etc", "C:x", ".hidden", "dot.", "nul", "COM1.txt", "a\nb", "a b", "x" * 200]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_leave_the_folder_or_break_a_system_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--run-name"):
        run_folder(tmp_path, name)
