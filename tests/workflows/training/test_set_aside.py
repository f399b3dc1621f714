"""Starting over keeps the earlier run, under another name."""

from pathlib import Path

import pytest

from unplateau.base.errors import UsageError
from unplateau.workflows.training.set_aside import set_aside


def test_an_earlier_run_gets_the_first_free_name(tmp_path: Path) -> None:
    (tmp_path / "run_before1").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log.txt").touch()
    set_aside(tmp_path / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run_before1", "run_before2"]
    set_aside(tmp_path / "run")  # there is none any more


def test_a_folder_that_cannot_be_renamed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(13, "used by another process")

    (tmp_path / "run").mkdir()
    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(UsageError, match="could not be renamed to run_before1.*Close what has a file of it open"):
        set_aside(tmp_path / "run")
