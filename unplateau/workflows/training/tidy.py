"""Takes away what a process that was killed at the very end of a run left beside it, where no training will come to do so."""

from contextlib import suppress
from pathlib import Path

from unplateau.base.errors import UsageError
from unplateau.base.files import leftovers, remove_leftovers
from unplateau.base.locks import FileLock
from unplateau.runs.layout import RunFolder
from unplateau.runs.reader import find_runs


def tidy_run(folder: RunFolder) -> None:
    """Remove half-written files of a run, unless it is being trained; a folder that cannot be written to stays as it is."""
    lock = FileLock(folder.lock)
    with suppress(UsageError):
        if lock.acquire():
            remove_leftovers(folder.path)
    lock.release()


def tidy_launcher(output_dir: Path, launcher: Path) -> None:
    """Remove half-written files of a search or a comparison, and of its runs; for who holds the launcher's lock."""
    remove_leftovers(output_dir, is_deep=False)
    remove_leftovers(launcher, is_deep=False)
    for run in find_runs(output_dir):
        if has_leftovers(run):
            tidy_run(run)


def has_leftovers(folder: RunFolder) -> bool:
    """Return whether something in a run's folder looks half written; it may be being written."""
    return any(leftovers(folder.path))
