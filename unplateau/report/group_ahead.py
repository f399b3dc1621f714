"""What a launcher still has to do, and how long that takes: for its console, and for the page written while runs train."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unplateau.report.content import Cell, Fact, Section, Table
from unplateau.report.words import duration_words

TRAINING = "training"
OPEN = ("waiting", "half done", TRAINING, "changed")
"""States of a run that still has to be trained."""

Taken = Mapping[str, Sequence[float]]
"""By run, the seconds that each of its epochs took."""


@dataclass(frozen=True)
class Awaited:
    """A run that a launcher trains, has trained, or will train."""

    name: str
    state: str
    """In the words of the launcher's console: waiting, training, finished, failed, ..."""
    last_epoch: int
    """Where it ends by itself, or where its slice does; 0 where nobody knows."""

    @property
    def is_open(self) -> bool:
        """Whether it still has to be trained."""
        return self.state in OPEN


@dataclass(frozen=True)
class Ahead:
    """The runs of a launcher, in the order in which they are trained."""

    runs: tuple[Awaited, ...]
    later_epochs: int | None = 0
    """What is trained after these, at most; None where nobody can say."""
    title: str = ""
    """Where the launcher stands, such as "round 1 of 2"."""


def seconds_of(run: Awaited, taken: Taken) -> float | None:
    """Return how long a run still takes: epochs to go times its usual epoch, or that of all runs as long as it has none.

    0 for a run that is over, None where no epoch was timed yet. Patience may end a run sooner.
    """
    if not run.is_open:
        return 0.0
    seconds = taken.get(run.name) or _of_all(taken)
    return statistics.median(seconds) * max(0, run.last_epoch - len(taken.get(run.name, ()))) if seconds else None


def seconds_left(ahead: Ahead, taken: Taken) -> float | None:
    """Return how long it takes until all is done, one run after the other; None where nobody can say."""
    parts = [seconds_of(run, taken) for run in ahead.runs]
    known = [part for part in parts if part is not None]
    if ahead.later_epochs is None or len(known) < len(parts):
        return None
    usual = _of_all(taken)
    return sum(known) + (statistics.median(usual) * ahead.later_epochs if usual else 0.0)


def ahead_section(ahead: Ahead | None, taken: Taken) -> Section:
    """Return the section on what trains now and what is left; an empty one where no launcher is at work."""
    if ahead is None:
        return Section("now", "", ())
    rows = tuple(
        (Cell(run.name), Cell(run.state, is_strong=run.state == TRAINING), Cell(_epoch(run, taken), is_number=True),
         Cell(_words(seconds_of(run, taken)) if run.is_open else "", is_number=True))
        for run in ahead.runs
    )  # fmt: skip
    caption = f"{ahead.title[:1].upper()}{ahead.title[1:]}" if ahead.title else "All runs, in their order"
    intro = "Times are those of the epochs so far; a run that gets no better ends sooner."
    return Section("now", "Now, and what is left", (Table(caption, ("run", "state", "epoch", "left, about"), rows),), intro)


def ahead_facts(ahead: Ahead | None, taken: Taken) -> tuple[Fact, ...]:
    """Return the headline: what trains, and how long it takes until all is done."""
    training = [run for run in ahead.runs if run.state == TRAINING] if ahead is not None else []
    if ahead is None:
        return ()
    now = ", ".join(f"{run.name}, epoch {_epoch(run, taken)}" for run in training[:2])
    more = f" and {len(training) - 2} more" if len(training) > 2 else ""
    if ahead.later_epochs is None:
        return (Fact("Training now", str(len(training)), f"{now}{more}"),)
    return (Fact("Left, about", _words(seconds_left(ahead, taken)), f"now {now}{more}" if now else ""),)


def _of_all(taken: Taken) -> list[float]:
    return [seconds for run in taken.values() for seconds in run]


def _epoch(run: Awaited, taken: Taken) -> str:
    trained = len(taken.get(run.name, ()))
    return f"{trained} of {run.last_epoch}" if run.last_epoch else str(trained)


def _words(seconds: float | None) -> str:
    return "not known yet" if seconds is None else duration_words(seconds)
