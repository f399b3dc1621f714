"""What a training wrote about itself, whoever wrote it: named series with places, and facts about the training.

Reading files: the modules beside this one, one per format. Judging: `diagnosis`.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

MAX_POINTS = 40_000  # neighbours are averaged above it: a log of any length is read in bounded memory
_FEW_PAIRS = 0.75  # of the points are left where only points of one epoch are averaged: that would not do

SERIES = ("total", "cross_entropy", "triplet", "accuracy", "learning_rate", "mAP", "rank1")
"""Names every rule knows; further series keep the names they were written with."""


@dataclass(frozen=True)
class LogPoint:
    """Values written at one place of a training."""

    epoch: int | None
    """Counted from 1; None where the log does not say."""
    iteration: int | None
    values: dict[str, float]
    """Losses unweighted where the log says so; accuracy, mAP and rank1 as shares (0 to 1); NaN where it wrote one."""


@dataclass(frozen=True)
class LogFacts:
    """What is known about a training besides its curves. None = not known."""

    num_identities: int | None = None
    num_images: int | None = None
    batch_size: int | None = None
    num_instances: int | None = None
    feature_dim: int | None = None
    initial_std: float | None = None
    """Standard deviation of the classifier's initial weights."""
    margin: float | None = None
    """Triplet margin; 0 = soft margin."""
    label_smoothing: float | None = None
    cross_entropy_weight: float | None = None
    triplet_weight: float | None = None
    classifier: str | None = None
    """Linear, CosineLinear, ..."""
    cosine_scale: float | None = None
    optimizer: str | None = None
    base_learning_rate: float | None = None
    max_epochs: int | None = None
    iterations_per_epoch: int | None = None
    warm_up_epochs: float | None = None
    schedule: str | None = None
    milestones: tuple[float, ...] | None = None
    """Absolute epochs of scheduled drops."""
    mixed_precision: bool | None = None
    frozen_layers: tuple[str, ...] | None = None
    chance_map: float | None = None
    settings: dict[str, Any] | None = None
    """The whole configuration with dotted keys, where it is in our own key tree, which is fast-reid's."""

    def filled_from(self, other: LogFacts) -> LogFacts:
        """Return these facts with what is None here taken from `other`."""
        gaps = {f.name: getattr(other, f.name) for f in dataclasses.fields(self) if getattr(self, f.name) is None}
        return dataclasses.replace(self, **gaps)


@dataclass(frozen=True)
class TrainingLog:
    """A training's log, in one shape for all trainers."""

    trainer: str
    """Who wrote it: "unplateau", "fast-reid", "reid-strong-baseline family", "torchreid", "TensorBoard", "CSV", "JSON lines"."""
    source: str
    """The file it was read from."""
    points: tuple[LogPoint, ...]
    facts: LogFacts = LogFacts()
    config: dict[str, Any] = field(default_factory=dict)
    """Configuration found beside or in the log; dotted keys of the trainer's own."""
    symptoms: tuple[str, ...] = ()
    """Codes of known warnings found in the text; see `symptoms`."""
    notes: tuple[str, ...] = ()
    """What the reader left out, guessed or converted."""
    running_means: bool = False
    """Whether losses are means since the epoch began, so that an epoch's last value stands for it."""

    def names(self) -> tuple[str, ...]:
        """Return the names of all series, the known ones first."""
        found = {name for point in self.points for name in point.values}
        return tuple(name for name in SERIES if name in found) + tuple(sorted(found - set(SERIES)))

    def series(self, name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return (iterations, or epochs where there are none, or counts; values) of every point that has this series."""
        rows = [(place, point) for place, point in enumerate(self.points) if name in point.values]
        by_iteration = all(point.iteration is not None for _, point in rows)
        by_epoch = all(point.epoch is not None for _, point in rows)
        x = tuple(float(_place(point, count, by_iteration, by_epoch)) for count, point in rows)
        return x, tuple(point.values[name] for _, point in rows)

    def per_epoch(self, name: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """Return (epochs, values): means over each epoch, or the epoch's last value for running means and scores."""
        groups: dict[int, list[float]] = {}
        for point in self.points:
            if point.epoch is not None and name in point.values:
                groups.setdefault(point.epoch, []).append(point.values[name])
        last = name in ("mAP", "rank1", "learning_rate") or self.running_means
        epochs = tuple(sorted(groups))
        return epochs, tuple(groups[epoch][-1] if last else _mean_of(groups[epoch]) for epoch in epochs)


class LogBuilder:
    """Collects points as they stream by: drops doubled ones, follows resumes, and keeps memory bounded."""

    def __init__(self) -> None:
        self.points: list[LogPoint] = []
        self.notes: list[str] = []
        self._merged = 1

    def add(self, point: LogPoint) -> None:
        """Take a point in; one at the place of the last adds to it, one before the last begins a resumed stretch."""
        place = _order(point)
        if self.points and place is not None:
            last = _order(self.points[-1])
            if last is not None and place < last:
                self._go_back(place, last)
            if self.points and place == _order(self.points[-1]):
                merged = {**self.points[-1].values, **point.values}
                self.points[-1] = dataclasses.replace(self.points[-1], values=merged)
                return
        self.points.append(point)
        if len(self.points) > MAX_POINTS:
            self._halve()

    def add_to_last(self, values: dict[str, float]) -> None:
        """Add values, such as an evaluation's, to the last point."""
        if self.points:
            self.points[-1] = dataclasses.replace(self.points[-1], values={**self.points[-1].values, **values})

    def note(self, text: str) -> None:
        """Remember what the reader did, once."""
        if text not in self.notes:
            self.notes.append(text)

    def finish(self) -> tuple[LogPoint, ...]:
        """Return the points in order."""
        if self._merged > 1:
            self.note(f"a long log: every {self._merged} neighbouring points were averaged")
        return tuple(self.points)

    def _go_back(self, place: tuple[int, int], last: tuple[int, int]) -> None:
        while self.points:
            order = _order(self.points[-1])
            if order is not None and order < place:
                break
            self.points.pop()
        kind = "iteration" if place[1] >= 0 else "epoch"
        start, end = (place[1], last[1]) if place[1] >= 0 else (place[0], last[0])
        self.note(f"the log goes back from {kind} {end} to {start} (resumed or restarted); what was written before is replaced")

    def _halve(self) -> None:
        self._merged *= 2
        groups = _pairs(self.points)
        if len(groups) > _FEW_PAIRS * len(self.points):  # hardly two of one epoch beside each other: epochs are merged too
            groups = [self.points[place : place + 2] for place in range(0, len(self.points), 2)]
        self.points = [_mean(pair) for pair in groups]


def _place(point: LogPoint, count: int, by_iteration: bool, by_epoch: bool) -> float:
    if by_iteration and point.iteration is not None:
        return point.iteration
    if by_epoch and point.epoch is not None:
        return point.epoch
    return count


def _order(point: LogPoint) -> tuple[int, int] | None:
    if point.iteration is not None:
        return (0, point.iteration)
    return None if point.epoch is None else (point.epoch, -1)


def _pairs(points: list[LogPoint]) -> list[list[LogPoint]]:
    groups: list[list[LogPoint]] = []
    for point in points:
        if groups and len(groups[-1]) == 1 and groups[-1][0].epoch == point.epoch:
            groups[-1].append(point)
        else:
            groups.append([point])
    return groups


def _mean(group: list[LogPoint]) -> LogPoint:
    names = {name for point in group for name in point.values}
    values = {}
    for name in names:
        present = [point.values[name] for point in group if name in point.values]
        values[name] = _mean_of(present)
    return LogPoint(group[-1].epoch, group[-1].iteration, values)


def _mean_of(values: list[float]) -> float:
    """The mean; not finite where the values, or their sum, are not."""
    try:
        return math.fsum(values) / len(values)
    except (OverflowError, ValueError):  # of 1e308 and 1e308, of inf and -inf
        return sum(values) / len(values)
