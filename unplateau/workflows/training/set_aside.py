"""Renames what an earlier run left, so that starting over loses nothing."""

import itertools
from pathlib import Path

from unplateau.base.errors import UsageError
from unplateau.base.files import move


def set_aside(path: Path) -> None:
    """Rename a folder to the first free `<name>_before<number>`; nothing where it is not there.

    Raises:
        UsageError: it cannot be renamed. On Windows that is so while a program has a file in it open.
    """
    if not path.exists():
        return
    taken = (path.with_name(f"{path.name}_before{number}") for number in itertools.count(1))
    free = next(free for free in taken if not free.exists())
    try:
        move(path, free)
    except OSError as error:
        raise UsageError(
            f"{path} could not be renamed to {free.name}, where the earlier run is kept ({error.strerror or error}). Close what "
            "has a file of it open, or use another --run-name."
        ) from error
