import sys
from pathlib import Path

import pytest

from unplateau.base.errors import DataError
from unplateau.data.drawn import draw_once
from unplateau.data.user_cache import user_cache_folder


def draw(folder: Path) -> None:
    (folder / "image.jpg").write_bytes(b"drawn")


def test_what_is_drawn_appears_whole(tmp_path: Path) -> None:
    draw_once(tmp_path / "cache" / "set", draw)
    assert [path.name for path in (tmp_path / "cache").rglob("*")] == ["set", "image.jpg"]


def test_a_drawing_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        draw(folder)
        raise RuntimeError("no more paint")

    with pytest.raises(RuntimeError, match="paint"):
        draw_once(tmp_path / "set", fail)
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_processes_wins(tmp_path: Path) -> None:
    def be_overtaken(folder: Path) -> None:
        draw(folder)
        draw_once(tmp_path / "set", lambda part: (part / "first.jpg").write_bytes(b"") and None)

    draw_once(tmp_path / "set", be_overtaken)
    assert [path.name for path in tmp_path.rglob("*")] == ["set", "first.jpg"]


def test_a_cache_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be drawn into"):
        draw_once(tmp_path / "file" / "set", draw)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="other variables name the cache there")
def test_the_cache_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache_folder() == tmp_path / "unplateau"
