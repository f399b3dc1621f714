"""Folders replaced as a whole: the earlier one or the new one is kept, whenever the process is killed. Single files: `files`."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unplateau.base.files import move, sync

_PART, _EARLIER = "part", "earlier"


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write to; on a clean exit it takes the place of `folder`, and of everything in it.

    Nothing is taken away before the new folder is whole and on disk. A process that is killed between the two renames leaves
    both beside the place, under names with a dot; `recover` puts one of them back, and every next call does that first.

    Raises:
        OSError: the disk is full, the folder cannot be written to, or (on Windows) a program holds a file of it open. `folder`
            is then as it was.
    """
    folder = folder.absolute()
    recover(folder)
    part, earlier = _beside(folder, _PART), _beside(folder, _EARLIER)
    part.mkdir(parents=True)
    try:
        yield part
        _sync_all(part)
        if folder.exists():
            move(folder, earlier)
        try:
            move(part, folder)
        except OSError:
            recover(folder)
            raise
        shutil.rmtree(earlier, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def recover(folder: Path) -> None:
    """Put back what a killed replacement of `folder` left beside it, and remove the rest; no effect where nothing was left."""
    folder = folder.absolute()
    part, earlier = _beside(folder, _PART), _beside(folder, _EARLIER)
    if earlier.exists() and not folder.exists():  # killed between the renames; whether all of the new one is on disk is not known
        move(earlier, folder)
    for leftover in (part, earlier):
        shutil.rmtree(leftover, ignore_errors=True)


def _beside(folder: Path, kind: str) -> Path:
    return folder.with_name(f".{folder.name}.{kind}")


def _sync_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            sync(path)
