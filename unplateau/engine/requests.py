"""Requests to stop that come from outside the training: Ctrl+C, a scheduler's SIGTERM, a time budget, a damaged loss.

Signals only set a flag; the loop looks at it between steps, so no file is ever left half written. A second Ctrl+C ends at once,
unless the end of the run is being written already.
"""

import contextlib
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType, TracebackType

_CODES = {"SIGINT": "interrupted", "SIGTERM": "preempted", "SIGBREAK": "interrupted"}  # SIGBREAK: Ctrl+Break on Windows


class StopRequested(Exception):  # noqa: N818 - not an error
    """The training was asked to stop; `code` is the stop reason's."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class Diverged(Exception):  # noqa: N818 - the field's word
    """A loss term became NaN or infinite."""

    def __init__(self, term: str, value: float, step: int, epoch: int) -> None:
        self.term, self.value, self.step, self.epoch = term, value, step, epoch
        super().__init__(term, value, step, epoch)  # what it is made of, so that it can travel between processes

    def __str__(self) -> str:
        return f"{self.term} became {self.value} at step {self.step} (epoch {self.epoch})"


class StopRequests:
    """Collects requests to stop while it is entered; use as a context manager around the training."""

    def __init__(self, *, time_budget_seconds: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deadline = clock() + time_budget_seconds if time_budget_seconds else None
        self._code: str | None = None
        self._previous: dict[int, object] = {}
        self.is_ending = False
        """Set by the owner when it is too late to stop: the end is being written, which nothing may break off."""

    def pending(self) -> str | None:
        """Return the code of the request that waits to be met, or None."""
        if self._code is None and self._deadline is not None and self._clock() >= self._deadline:
            self._code = "time-budget"
        return self._code

    def __enter__(self) -> "StopRequests":
        for name in _CODES:
            number = getattr(signal, name, None)
            if number is not None:
                try:
                    self._previous[number] = signal.signal(number, self._note)
                except ValueError:  # not the main thread: its owner handles signals
                    return self
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            if handler is not None:  # None: it was not installed from Python, and cannot be put back
                signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.is_ending:
            print("The end of the run is being written; a moment.", file=sys.stderr)
            return
        if self._code == "interrupted" and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._code = _CODES[signal.Signals(number).name]
        print("Stopping after this step ...", "Ctrl+C again stops at once." if number == signal.SIGINT else "", file=sys.stderr)


def forget_lost_workers() -> None:
    """Have the death of a loader's process raise nothing any more: torch's handler does so wherever the program then is."""
    if hasattr(signal, "SIGCHLD"):  # not on Windows
        with contextlib.suppress(ValueError):  # not the main thread: torch has set no handler then
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
