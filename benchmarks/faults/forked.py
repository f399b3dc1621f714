"""Processes that begin where this one stands: forked after the imports, so that a training costs half a second and not five.

Only for systems with fork, and only from a process without other threads. Every wait has a limit.
"""

import contextlib
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from unplateau.base.errors import UnplateauError

Act = Callable[[Callable[[], None]], int]
"""What the process does, given a function that tells its parent that a moment has come. Returns the exit code."""


class Forked:
    """A running process of its own session; what it prints goes to a file."""

    def __init__(self, act: Act, output: Path) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self.output = output
        self._ear, mouth = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _become(act, mouth, output)
        os.close(mouth)
        self._handle = os.pidfd_open(self.pid)
        self._code: int | None = None

    def hears(self, seconds: float) -> bool:
        """Wait until its moment comes; return whether it came before its end and the limit."""
        ready, _, _ = select.select([self._ear, self._handle], [], [], seconds)
        return self._ear in ready and bool(os.read(self._ear, 1))

    def wait(self, seconds: float) -> int | None:
        """Wait for its end; return its exit code (negative: the signal that killed it), None where the limit came first."""
        if self._code is None and select.select([self._handle], [], [], max(0.0, seconds))[0]:
            _, status = os.waitpid(self.pid, 0)
            self._code = os.waitstatus_to_exitcode(status)
            os.close(self._handle)
            os.close(self._ear)
        return self._code

    def send(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.wait(0) is None:
            os.kill(self.pid, number)

    def end(self) -> None:
        """Kill it and what it started in its session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait(10)

    def said(self) -> str:
        """Return what it printed."""
        return self.output.read_text(encoding="utf-8", errors="replace") if self.output.exists() else ""


def _become(act: Act, mouth: int, output: Path) -> None:
    """Be the child, and never return."""
    code = 1
    try:
        os.setsid()
        stream = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(stream, 1)
        os.dup2(stream, 2)
        code = _exit_code(lambda: act(lambda: os.write(mouth, b".") and None))
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _exit_code(act: Callable[[], int]) -> int:
    """As the command line does it: the message alone for our errors."""
    try:
        return act()
    except UnplateauError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except KeyboardInterrupt:
        print("Aborted.", file=sys.stderr)
        return 130
    except BaseException:  # noqa: BLE001 - what nobody caught is what the harness looks for
        traceback.print_exc()
        return 70
