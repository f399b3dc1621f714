"""Folders are replaced as a whole, also by a process that is killed at any step of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from unplateau.base.folders import recover, replacing_folder

_KILLED_AT_STEP = """
import os, shutil, signal, sys
from pathlib import Path
from unplateau.base import folders

left = int(sys.argv[2])
def step(function):
    def counted(*words, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*words, **options)
    return counted

folders.move, folders.sync = step(folders.move), step(folders.sync)
Path.mkdir, shutil.rmtree = step(Path.mkdir), step(shutil.rmtree)
with folders.replacing_folder(Path(sys.argv[1])) as part:
    for name in ("a", "b"):
        (part / name).write_text("new")
"""


def filled(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("a", "b"):
        (folder / name).write_text(text)
    return folder


def texts(folder: Path) -> set[str]:
    return {(folder / name).read_text() for name in ("a", "b")}


def test_a_new_folder_takes_the_place_of_the_earlier_one_and_of_all_in_it(tmp_path: Path) -> None:
    folder = filled(tmp_path / "export", "old")
    (folder / "only in the old one").touch()
    with replacing_folder(folder) as part:
        filled(part, "new")
        assert texts(folder) == {"old"}
    assert texts(folder) == {"new"} and len(list(folder.iterdir())) == 2
    assert list(tmp_path.iterdir()) == [folder]


def test_a_failure_leaves_the_earlier_folder_and_nothing_else(tmp_path: Path) -> None:
    folder = filled(tmp_path / "export", "old")
    with pytest.raises(OSError, match="disk"), replacing_folder(folder) as part:
        (part / "a").write_text("half")
        raise OSError("disk is full")
    assert texts(folder) == {"old"} and list(tmp_path.iterdir()) == [folder]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize("has_earlier", [True, False])
def test_killed_at_any_step_one_whole_folder_is_there_after_the_next_call(tmp_path: Path, has_earlier: bool) -> None:
    seen, step, code = set(), 0, -9
    while code == -9:
        folder = tmp_path / str(step) / "export"
        filled(folder, "old") if has_earlier else folder.parent.mkdir()
        code = subprocess.run([sys.executable, "-c", _KILLED_AT_STEP, str(folder), str(step)], check=False).returncode
        between = has_earlier and not folder.exists()
        recover(folder)
        assert list(folder.parent.iterdir()) in ([folder], [] if not has_earlier else [folder])
        seen.add((texts(folder).pop() if folder.exists() else "none", between))
        assert not folder.exists() or len(texts(folder)) == 1
        step += 1
    assert code == 0 and step >= 5
    assert seen == ({("old", False), ("old", True), ("new", False)} if has_earlier else {("none", False), ("new", False)})


def test_where_the_new_folder_cannot_be_moved_the_earlier_one_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, original = filled(tmp_path / "export", "old"), Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if self.name.endswith(".part"):
            raise OSError("no")
        return original(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="no"), replacing_folder(folder) as part:
        filled(part, "new")
    assert texts(folder) == {"old"} and list(tmp_path.iterdir()) == [folder]
