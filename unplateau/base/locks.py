"""A lock file that the operating system releases when its process ends, however it ends."""

import os
import sys
from pathlib import Path
from typing import IO

from unplateau.base.errors import UsageError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class FileLock:
    """Exclusive ownership of a file among the processes of one machine. Not for network file systems that ignore locks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Try to take the lock without waiting; return whether it is held now.

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
        try:
            _lock(stream)
        except OSError:
            stream.close()
            return False
        self._stream = stream
        return True

    def release(self) -> None:
        """Give the lock back; without effect where it is not held."""
        if self._stream is not None:
            self._stream.close()  # closing releases it on every system
            self._stream = None


def _lock(stream: IO[bytes]) -> None:
    if sys.platform == "win32":
        stream.seek(0, os.SEEK_SET)
        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
