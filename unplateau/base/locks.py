"""A lock file that the operating system releases when its process ends, however it ends."""

import os
import sys
import time
import weakref
from pathlib import Path
from typing import IO

from unplateau.base.errors import UsageError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_ASKING_SECONDS = 0.5  # far longer than anybody takes to ask whether it is held
_POLL_SECONDS = 0.02


class FileLock:
    """Exclusive ownership of a file among the processes of one machine. Not for network file systems that ignore locks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Take the lock; return whether it is held now. Waits a moment at most: who asks `is_held` has it for as long.

        Raises:
            UsageError: its folder cannot be made or written to.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            stream = self.path.open("a+b")
        except OSError as error:
            folder = self.path.parent
            raise UsageError(
                f"{folder} cannot be written to ({error.strerror}). Choose another folder: OUTPUT_DIR PATH."
            ) from error
        deadline = time.monotonic() + _ASKING_SECONDS
        while not _is_taken(stream):
            if time.monotonic() >= deadline:
                stream.close()
                return False
            time.sleep(_POLL_SECONDS)
        self._stream = stream
        _close_in_children(stream)
        return True

    def is_held(self) -> bool:
        """Return whether some process holds the lock now. Writes nothing, and two that ask at once do not see each other."""
        try:
            with self.path.open("rb") as stream:
                return not _is_taken(stream, is_shared=True)
        except OSError:  # it is not there, or not ours to read
            return False

    def release(self) -> None:
        """Give the lock back; without effect where it is not held."""
        if self._stream is not None:
            self._stream.close()  # closing releases it on every system
            self._stream = None


def _close_in_children(stream: IO[bytes]) -> None:
    """Keep forked children from holding the lock after its process was killed; on Windows they inherit nothing."""
    if not hasattr(os, "register_at_fork"):
        return
    held = weakref.ref(stream)

    def close() -> None:
        if (mine := held()) is not None:
            mine.close()  # of the child: the parent's lock stays

    os.register_at_fork(after_in_child=close)


def _is_taken(stream: IO[bytes], *, is_shared: bool = False) -> bool:
    try:
        _lock(stream, is_shared)
    except OSError:
        return False
    return True


def _lock(stream: IO[bytes], is_shared: bool) -> None:
    if sys.platform == "win32":
        stream.seek(0, os.SEEK_SET)
        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(stream.fileno(), (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
