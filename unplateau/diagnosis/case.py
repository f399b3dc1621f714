"""What a rule is given: a log as curves, facts, measurements and symptoms. Gathers and reads, judges nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from unplateau.curves.slope import Slope, robust_slope
from unplateau.curves.smoothing import FloatArray, bin_means
from unplateau.runs.foreign_logs.training_log import LogFacts, TrainingLog
from unplateau.runs.record import Measurement

AS_CONFIGURED = "as configured"
"""Group of a measurement that was made on what the configuration asks for, beside the one of the training itself."""
_EPOCHS_ENOUGH = 4  # with fewer epochs the single iterations are looked at
_MAX_POINTS = 120
_LARGEST = 1e100  # no loss of a training that lives, and its square is a number


@dataclass(frozen=True)
class Curve:
    """One series of a training; points that are no number are left out and counted."""

    name: str
    x: FloatArray
    """Epochs, or iterations where the log has fewer than four epochs."""
    y: FloatArray
    unit: str
    """ "epoch" or "iteration"."""
    num_lost: int
    """Points that were NaN, infinite, or beyond what can be squared."""

    @cached_property
    def slope(self) -> Slope:
        """Over the whole curve."""
        return robust_slope(self.x, self.y)

    @property
    def level(self) -> float:
        """Median over the whole curve."""
        return float(np.median(self.y))

    @property
    def latest(self) -> float:
        """Median of the last quarter, at least three points."""
        return float(np.median(self.y[-max(3, len(self.y) // 4) :]))

    @property
    def first(self) -> float:
        """Median of the first two points."""
        return float(np.median(self.y[:2]))

    @property
    def span(self) -> float:
        """Length along x."""
        return float(self.x[-1] - self.x[0])

    @property
    def drift(self) -> float:
        """Change along the robust line from end to end."""
        return self.slope.value * self.span

    def is_stationary(self, tolerance: float) -> bool:
        """Return whether the curve as a whole neither moved nor could have moved by more than `tolerance`."""
        if len(self.y) < _EPOCHS_ENOUGH:
            return False
        thirds = max(1, len(self.y) // 3)
        apart = abs(float(np.median(self.y[-thirds:]) - np.median(self.y[:thirds])))
        return abs(self.drift) <= tolerance and apart <= tolerance + self.slope.noise.std

    def is_falling(self, amount: float) -> bool:
        """Return whether the curve surely falls, and by at least `amount` from end to end."""
        return self.slope.high < 0 and -self.drift >= amount

    def from_x(self, first_x: float) -> Curve:
        """Return the curve from `first_x` on."""
        keep = self.x >= first_x
        return Curve(self.name, self.x[keep], self.y[keep], self.unit, self.num_lost)

    def where(self) -> str:
        """Return where it was read, such as "log epochs 3-29"."""
        return f"log {self.unit}s {self.x[0]:.0f}-{self.x[-1]:.0f}"


@dataclass(frozen=True)
class Case:
    """All that is known about one training."""

    log: TrainingLog | None = None
    facts: LogFacts = LogFacts()
    """From the log, with what the user gave on top."""
    measurements: tuple[Measurement, ...] = ()
    symptoms: tuple[str, ...] = ()

    def curve(self, name: str) -> Curve | None:
        """Return a series, by epoch where there are enough epochs; None where the log does not have it."""
        if self.log is None:
            return None
        x, y = self.log.per_epoch(name)
        unit = "epoch"
        if len(x) < _EPOCHS_ENOUGH:
            longer, values = self.log.series(name)
            if len(longer) > len(x):
                x, y, unit = longer, values, "iteration"  # type: ignore[assignment]
        return _curve(name, np.array(x, dtype=float), np.array(y, dtype=float), unit)

    def measured(self, name: str) -> dict[str, float]:
        """Return the values of a measurement by layer group; "" is the whole."""
        return {m.group: m.value for m in self.measurements if m.name == name and m.value is not None}

    @property
    def has_moved(self) -> bool:
        """Whether two checkpoints, live updates, or the motion logged by the trainer, show that some weight changed."""
        motion = self.curve("weight_motion")
        live = self.measured("tensors_moved").get("", 0.0) > 0
        return live or self.measured("tensors_unchanged").get("", 1.0) < 1.0 or (motion is not None and motion.y.max() > 0)

    @property
    def last_epoch(self) -> float | None:
        """The last epoch the log speaks of."""
        epochs = [point.epoch for point in self.log.points if point.epoch is not None] if self.log else []
        return float(max(epochs)) if epochs else None


def _curve(name: str, x: FloatArray, y: FloatArray, unit: str) -> Curve | None:
    finite = np.abs(y) < _LARGEST  # of NaN it is not true
    if not finite.any():
        return None
    places, values = bin_means(x[finite], y[finite], _MAX_POINTS)
    return Curve(name, places, values, unit, int((~finite).sum()))


def lost_points(case: Case) -> dict[str, int]:
    """Return how many values of each series were NaN or infinite; empty for a clean log."""
    if case.log is None:
        return {}
    names = [name for name in case.log.names() if name not in ("mAP", "rank1")]
    counts = {name: sum(not math.isfinite(value) for value in case.log.series(name)[1]) for name in names}
    return {name: count for name, count in counts.items() if count}
