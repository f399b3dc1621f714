"""A child process with its own group, so that Ctrl+C reaches it once, from us, and not a second time from the terminal."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

if sys.platform == "win32":
    _NEW_GROUP_ON_WINDOWS, _STOP = subprocess.CREATE_NEW_PROCESS_GROUP, signal.CTRL_BREAK_EVENT
else:
    _NEW_GROUP_ON_WINDOWS, _STOP = 0, signal.SIGINT
_LAST_LINES = 5


class ChildProcess:
    """A running command."""

    def __init__(
        self,
        command: Sequence[str],
        output: Path,
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        dies_with_us: bool = False,
    ) -> None:
        """Start `command`.

        Args:
            command: the words of the command line.
            output: the file that what it prints goes to.
            environment: variables that are set for it beside ours.
            folder: where it works; None = where we do.
            dies_with_us: on Linux, end it at once when we are killed (`unplateau.base.tied`).
        """
        output.parent.mkdir(parents=True, exist_ok=True)
        self._output = output
        if dies_with_us and sys.platform == "linux":
            command = [sys.executable, "-m", "unplateau.base.tied", str(os.getpid()), *command]
        with output.open("wb") as stream:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, cwd=folder,
                env={**os.environ, **(environment or {})}, creationflags=_NEW_GROUP_ON_WINDOWS, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        return self._process.pid

    def wait(self, seconds: float) -> int | None:
        """Wait a while for its end; return its exit code (negative: the signal that killed it), or None while it runs."""
        try:
            return self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None

    def ask_to_stop(self) -> None:
        """Ask for a clean stop, as Ctrl+C does."""
        if self._process.poll() is None:
            self._process.send_signal(_STOP)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def last_words(self) -> str:
        """Return the last lines it printed."""
        return last_words(self._output)


def last_words(output: Path) -> str:
    """Return the last lines of a file that a command printed to, as one; empty where there is none."""
    if not output.exists():
        return ""
    lines = [line.strip() for line in output.read_text(encoding="utf-8", errors="replace").splitlines()]
    return " ".join([line for line in lines if line][-_LAST_LINES:])
