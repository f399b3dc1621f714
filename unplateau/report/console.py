"""What a person sees while a run trains: a progress bar on a terminal, one plain line an epoch without one.

rich handles colour (`NO_COLOR`), width and Windows code pages; nothing here is written to a file.
"""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from unplateau.report.lines import SHORT_NAMES, epoch_line
from unplateau.runs.record import EpochRecord


class TrainingConsole:
    """Shows one run. A context manager: the bar is closed however the run ends."""

    def __init__(self, *, max_epochs: int, steps_per_epoch: int, done_epochs: int = 0, is_quiet: bool = False) -> None:
        self._console = Console(soft_wrap=True, highlight=False, quiet=is_quiet)
        self._max_epochs, self._steps = max_epochs, steps_per_epoch
        self._bar: Progress | None = None
        if self._console.is_terminal and not is_quiet:
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps  left"),
                TimeRemainingColumn(), TextColumn("{task.fields[losses]}"), console=self._console, transient=True,
            )  # fmt: skip
            self._task = self._bar.add_task(
                f"epoch {done_epochs + 1}/{max_epochs}",
                total=max_epochs * steps_per_epoch,
                completed=done_epochs * steps_per_epoch,
                losses="",
            )

    def __enter__(self) -> "TrainingConsole":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, line: str) -> None:
        """Print one line above the bar."""
        self._console.print(line, markup=False)

    def on_steps(self, epoch: int, step_in_epoch: int, latest: dict[str, float]) -> None:
        """Move the bar."""
        if self._bar is not None:
            losses = "  ".join(f"{short} {latest[name]:.3f}" for name, short in SHORT_NAMES.items() if name in latest)
            completed = (epoch - 1) * self._steps + step_in_epoch
            self._bar.update(self._task, completed=completed, losses=losses, description=f"epoch {epoch}/{self._max_epochs}")

    def on_epoch(self, record: EpochRecord, best_map: float | None) -> None:
        """Print the epoch's line."""
        self.say(epoch_line(record, self._max_epochs, best_map))
