"""Axes: round tick values, their words, and where a value lies between the ends. Linear and logarithmic."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
_EMPTY_SPAN = 1e-12


@dataclass(frozen=True)
class Axis:
    """A range with ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]
    is_log: bool = False
    is_whole: bool = False
    """Whether it counts something, such as epochs."""

    def place(self, value: float) -> float:
        """Return where `value` lies as a share of the axis, 0 at the low end; below a logarithmic axis' range it is 0."""
        if self.is_log:
            return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def words(self, value: float) -> str:
        """Return a tick in as few digits as tell it from its neighbours."""
        if self.is_log:
            return _power_words(value)
        if self.is_whole:
            return f"{value:.0f}"
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else 1.0
        if value and abs(value) < 1e-4:
            return f"{value:.1e}"
        decimals = max(0, min(6, 1 - math.floor(math.log10(step) + 1e-9)))
        text = f"{value:.{decimals}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text


def axis_of(values: Iterable[float], *, is_log: bool = False, is_whole: bool = False, from_zero: bool = False) -> Axis:
    """Return an axis that holds all finite `values` with a little room.

    Args:
        values: any order; on a logarithmic axis only those above 0 count.
        is_log: logarithmic.
        is_whole: only whole numbers make sense; no room is added.
        from_zero: the axis begins at 0.

    >>> axis_of([1, 30], is_whole=True).ticks
    (5.0, 10.0, 15.0, 20.0, 25.0, 30.0)
    >>> axis_of([0.02, 0.41], from_zero=True).ticks
    (0.0, 0.1, 0.2, 0.3, 0.4)
    """
    finite = [value for value in values if math.isfinite(value) and (value > 0 or not is_log)]
    low, high = (min(finite), max(finite)) if finite else (1.0, 10.0) if is_log else (0.0, 1.0)
    if is_log:
        return _log_axis(low, high)
    low = min(low, 0.0) if from_zero else low
    if high - low < _EMPTY_SPAN + 1e-9 * abs(high):
        low, high = (low, low + 1) if is_whole or from_zero else (low - 0.5 * max(abs(low), 1), high + 0.5 * max(abs(high), 1))
    room = 0.0 if is_whole else 0.05 * (high - low)
    low, high = low if from_zero or is_whole else low - room, high + room
    return Axis(low, high, linear_ticks(low, high, is_whole=is_whole), is_whole=is_whole)


def linear_ticks(low: float, high: float, *, count: int = 6, is_whole: bool = False) -> tuple[float, ...]:
    """Return at most about `count` round values inside the range.

    >>> linear_ticks(0, 7, count=5)
    (0.0, 2.0, 4.0, 6.0)
    """
    rough = (high - low) / count
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * nice for nice in _NICE if scale * nice >= rough * (1 - 1e-9))
    if is_whole:
        step = max(1.0, float(math.ceil(step)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(round(place * step, 12) + 0.0 for place in range(first, last + 1))


def log_ticks(low: float, high: float, *, most: int = 6) -> tuple[float, ...]:
    """Return powers of ten inside the range, with 2 and 5 between them where there is room."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    if high / low < 5:
        return tuple(value for value in linear_ticks(low, high, count=4) if value > 0)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [factor * 10.0**power for power in powers for factor in factors]
        inside = [value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(inside) <= most:
            return tuple(inside)
    return _thinned(inside, most)


def _thinned(values: Sequence[float], most: int) -> tuple[float, ...]:
    return tuple(values[:: math.ceil(len(values) / most)])


def _log_axis(low: float, high: float) -> Axis:
    if high / low < 1.2:
        low, high = low / 2, high * 2
    low, high = low / (high / low) ** 0.05, high * (high / low) ** 0.05
    return Axis(low, high, log_ticks(low, high), is_log=True)


def _power_words(value: float) -> str:
    if 0.001 <= value < 10_000:
        return f"{value:g}"
    mantissa, exponent = f"{value:.3e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
