"""One training in a process of its own: our own train command, so that running out of memory or crashing costs one run only.

The process has its own group, so that Ctrl+C reaches it once, from us, and not a second time from the terminal.
"""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

if sys.platform == "win32":
    _NEW_GROUP_ON_WINDOWS, _STOP = subprocess.CREATE_NEW_PROCESS_GROUP, signal.CTRL_BREAK_EVENT
else:
    _NEW_GROUP_ON_WINDOWS, _STOP = 0, signal.SIGINT
_LAST_LINES = 5


def train_command(config_file: Path, run_name: str, overrides: Sequence[str], *, flags: Sequence[str] = ()) -> list[str]:
    """Return the command line of one training; `flags` such as "--resume"."""
    words = ["--config-file", str(config_file), "--run-name", run_name, "--quiet", *flags]
    return [sys.executable, "-m", "unplateau.cli.main", "train", *words, *overrides]


class TrainProcess:
    """A running training."""

    def __init__(self, command: Sequence[str], output: Path) -> None:
        """Start `command`; what it prints goes to the file `output`."""
        output.parent.mkdir(parents=True, exist_ok=True)
        self._output = output
        with output.open("wb") as stream:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
                creationflags=_NEW_GROUP_ON_WINDOWS, start_new_session=True,
            )  # fmt: skip

    def wait(self, seconds: float) -> int | None:
        """Wait a while for its end; return its exit code (negative: the signal that killed it), or None while it runs."""
        try:
            return self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None

    def ask_to_stop(self) -> None:
        """Ask for a clean stop between two steps, as Ctrl+C does."""
        if self._process.poll() is None:
            self._process.send_signal(_STOP)

    def kill(self) -> None:
        """End it at once; its last checkpoint stays."""
        self._process.kill()
        self._process.wait()

    def last_words(self) -> str:
        """Return the last lines it printed."""
        lines = [line.strip() for line in self._output.read_text(encoding="utf-8", errors="replace").splitlines()]
        return " ".join([line for line in lines if line][-_LAST_LINES:])
