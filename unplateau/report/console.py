"""What a person sees while a run trains: a progress bar on a terminal, one plain line an epoch without one.

rich handles colour (`NO_COLOR`), width and Windows code pages; nothing here is written to a file.
"""

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from unplateau.runs.record import EpochRecord, RetrievalMetrics

_SHORT = {"cross_entropy": "CE", "triplet": "triplet", "circle": "circle", "center": "centre"}


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
            losses = "  ".join(f"{short} {latest[name]:.3f}" for name, short in _SHORT.items() if name in latest)
            completed = (epoch - 1) * self._steps + step_in_epoch
            self._bar.update(self._task, completed=completed, losses=losses, description=f"epoch {epoch}/{self._max_epochs}")

    def on_epoch(self, record: EpochRecord, best_map: float | None) -> None:
        """Print the epoch's line."""
        self.say(epoch_line(record, self._max_epochs, best_map))


def epoch_line(record: EpochRecord, max_epochs: int, best_map: float | None) -> str:
    """Return an epoch in one line; percent throughout."""
    width = len(str(max_epochs))
    losses = "  ".join(f"{_SHORT.get(name, name)} {value:.3f}" for name, value in record.losses.items())
    parts = [f"epoch {record.epoch:{width}d}/{max_epochs}", losses, f"lr {record.learning_rate:.2e}"]
    if record.validation is not None:
        best = "  best so far" if record.is_best else f"  best {best_map:.2%}" if best_map is not None else ""
        parts.append(
            f"{record.validation.protocol} mAP {record.validation.mAP:.2%}  rank-1 {record.validation.cmc['1']:.2%}{best}"
        )
    parts.append(f"{record.train_seconds + record.validation_seconds:.0f} s")
    return "  ".join(parts)


def metrics_line(metrics: RetrievalMetrics) -> str:
    """Return one score with what it was measured on, for people."""
    options = "".join(f", {name} {value}" for name, value in metrics.options.items())
    options += ", best epoch chosen on it: optimistic" if metrics.chosen_on_it else ""
    rates = "  ".join(f"rank-{k} {rate:.2%}" for k, rate in metrics.cmc.items())
    size = f"{metrics.num_queries} queries of {metrics.num_identities} identities, gallery {metrics.num_gallery}"
    return (
        f"{metrics.protocol} {metrics.dataset}: mAP {metrics.mAP:.2%}  {rates}  mINP {metrics.mINP:.2%}  "
        f"({size}, chance {metrics.chance_mAP:.2%}{options})"
    )


def use_utf8() -> None:
    """Make printing safe on consoles whose code page lacks our characters (Windows): what is missing becomes '?'."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
