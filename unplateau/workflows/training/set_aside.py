"""Renames what an earlier run left, so that starting over loses nothing."""

import itertools
from pathlib import Path


def set_aside(path: Path) -> None:
    """Rename a folder to the first free `<name>_before<number>`; nothing where it is not there."""
    if not path.exists():
        return
    taken = (path.with_name(f"{path.name}_before{number}") for number in itertools.count(1))
    path.rename(next(free for free in taken if not free.exists()))
