"""What a person sees while solutions train: a live table on a terminal, one plain line an epoch without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from unplateau.report.group_ahead import OPEN, Ahead, Awaited, seconds_left, seconds_of
from unplateau.report.lines import epoch_line
from unplateau.runs.layout import RunFolder
from unplateau.runs.reader import read_run
from unplateau.runs.record import EpochRecord

_LOSSES = {"cross_entropy": "CE", "triplet": "triplet"}
_COLOURS = {"finished": "green", "failed": "red", "training": "yellow"}


@dataclass
class _Row:
    """One run as it is shown."""

    folder: RunFolder
    max_epochs: int
    state: str = "waiting"
    detail: str = ""
    epochs: tuple[EpochRecord, ...] = ()

    @property
    def best(self) -> EpochRecord | None:
        scored = [epoch for epoch in self.epochs if epoch.validation is not None]
        return max(scored, key=lambda epoch: epoch.validation.mAP if epoch.validation else -1.0, default=None)

    @property
    def epoch_seconds(self) -> list[float]:
        return [epoch.seconds for epoch in self.epochs]


class SolutionsConsole:
    """Shows several runs, of which one trains. A context manager: the table is closed however it ends."""

    def __init__(
        self,
        runs: Sequence[tuple[str, RunFolder, int]],
        *,
        is_quiet: bool = False,
        on_look: Callable[[], None] | None = None,
    ) -> None:
        """`runs`: name, folder and planned epochs of each; `on_look` is called at every look."""
        self._on_look = on_look
        self._console = Console(soft_wrap=True, highlight=False, quiet=is_quiet)
        self._rows = {name: _Row(folder, max_epochs) for name, folder, max_epochs in runs}
        for row in self._rows.values():
            row.epochs = _epochs(row.folder)
        is_live = self._console.is_terminal and not is_quiet
        self._title, self._later_epochs = "", 0
        self._live = Live(console=self._console, get_renderable=self.table, refresh_per_second=2) if is_live else None

    def __enter__(self) -> SolutionsConsole:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Print above the table."""
        self._console.print(text, markup=False)

    def say_equal(self, names: Sequence[str]) -> None:
        """Warn of solutions that the overrides have made equal to the control."""
        if names:
            self.say(f"note: with these values nothing is left that differs from the control in {', '.join(names)}.")

    def set_state(self, name: str, state: str, detail: str = "") -> None:
        """Note a run's new state, and say it where there is no table."""
        row = self._rows[name]
        if (row.state, row.detail) == (state, detail):
            return
        row.state, row.detail = state, detail
        if self._live is None:
            self.say(f"{name}: {state}{f': {detail}' if detail else ''}")

    def begin_round(self, title: str, goals: Mapping[str, int], *, later_epochs: int) -> None:
        """Show a round of halving: how far its runs train, and how many epochs the rounds after it will take at most."""
        for name, goal in goals.items():
            self._rows[name].max_epochs = goal
            if self._rows[name].state not in OPEN:
                self._rows[name].state = "waiting"
        self._later_epochs = later_epochs
        if title == self._title:
            return
        self._title = title
        if self._live is None:
            listed = ", ".join(f"{name} to epoch {epoch}" for name, epoch in goals.items())
            self.say(f"{title[:1].upper()}{title[1:]}: {listed}")

    def look(self, name: str) -> None:
        """Read what a training run has written since the last look."""
        row = self._rows[name]
        epochs = _epochs(row.folder)
        new = epochs[len(row.epochs) :] if len(epochs) > len(row.epochs) else ()
        row.epochs = epochs or row.epochs
        if self._on_look is not None:
            self._on_look()
        if self._live is None:
            best = row.best.validation.mAP if row.best and row.best.validation else None
            for record in new:
                self.say(f"{name}: {epoch_line(record, row.max_epochs, best)}")

    def ahead(self) -> Ahead:
        """Return what trains and what is left."""
        runs = tuple(Awaited(name, row.state, row.max_epochs) for name, row in self._rows.items())
        return Ahead(runs, self._later_epochs, self._title)

    def table(self) -> Table:
        """Return the table as it stands."""
        ahead, taken = self.ahead(), {name: row.epoch_seconds for name, row in self._rows.items()}
        table = Table(title=self._title or None, caption=f"left, about: {_duration(seconds_left(ahead, taken))}")
        for title in ("solution", "epoch", *_LOSSES.values(), "mAP", "best", "state", "left"):
            table.add_column(title, justify="left" if title in ("solution", "state") else "right", no_wrap=title != "state")
        for run, (name, row) in zip(ahead.runs, self._rows.items(), strict=True):
            last = row.epochs[-1] if row.epochs else None
            losses = [_number(last.losses.get(term) if last else None) for term in _LOSSES]
            best = f"{_percent(row.best)} ({row.best.epoch})" if row.best else "-"
            state = f"[{_COLOURS.get(row.state, 'default')}]{row.state}[/]"
            left = _duration(seconds_of(run, taken)) if run.is_open else ""
            table.add_row(name, f"{last.epoch if last else 0}/{row.max_epochs}", *losses, _percent(last), best, state, left)
        return table


def _epochs(folder: RunFolder) -> tuple[EpochRecord, ...]:
    return read_run(folder.path).epochs if folder.metrics.exists() else ()


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(record: EpochRecord | None) -> str:
    return "-" if record is None or record.validation is None else f"{record.validation.mAP:.2%}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "not known yet"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min" if minutes else f"{seconds:.0f} s"
