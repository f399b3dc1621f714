"""Theil-Sen slope with an interval that allows for autocorrelated noise (Sen 1968; Hamed and Rao 1998).

The median of all pairwise slopes does not follow single outliers. The interval comes from the variance of Kendall's S, widened
by the inflation of lag-1 autocorrelated residuals (an AR(1) noise model, where Hamed and Rao sum over all significant lags).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from unplateau.curves.noise import Noise, noise_of_residuals
from unplateau.curves.smoothing import FloatArray, bin_means

NORMAL_97_5 = 1.959964  # two-sided 95 %
_MAX_POINTS = 400  # pairs grow with the square; longer curves are averaged in bins first
_FEWEST_POINTS = 4


class Slope(NamedTuple):
    """A robust slope per unit of x with its 95 % interval."""

    value: float
    low: float
    high: float
    level: float
    """The fitted line's value at the last x."""
    noise: Noise
    """Of the residuals from the fitted line."""
    num_points: int


def robust_slope(x: ArrayLike, y: ArrayLike) -> Slope:
    """Return the Theil-Sen slope of `y` over `x` with its interval; the interval is infinite below four points.

    Args:
        x: shape (n,), rising.
        y: shape (n,), finite.

    >>> slope = robust_slope(range(10), [3.0 - 0.5 * place for place in range(10)])
    >>> slope.value, slope.low, slope.high
    (-0.5, -0.5, -0.5)
    >>> robust_slope([1, 2], [5.0, 4.0]).high
    inf
    """
    places, values = bin_means(x, y, _MAX_POINTS)
    if len(values) < 2:
        level = float(values[-1]) if len(values) else math.nan
        return Slope(0.0, -math.inf, math.inf, level, Noise(0.0, 0.0), len(values))
    slopes = _pairwise_slopes(places, values)
    middle = float(np.median(slopes))
    offset = float(np.median(values - middle * places))
    noise = noise_of_residuals(values - middle * places - offset)
    low, high = _interval(slopes, len(values), noise)
    return Slope(middle, low, high, offset + middle * float(places[-1]), noise, len(values))


def _pairwise_slopes(places: FloatArray, values: FloatArray) -> FloatArray:
    first, second = np.triu_indices(len(values), k=1)
    runs = places[second] - places[first]
    apart = runs > 0
    return np.sort((values[second] - values[first])[apart] / runs[apart])


def _interval(slopes: FloatArray, num_points: int, noise: Noise) -> tuple[float, float]:
    if num_points < _FEWEST_POINTS:
        return -math.inf, math.inf
    variance = num_points * (num_points - 1) * (2 * num_points + 5) / 18 * noise.inflation
    half_width = NORMAL_97_5 * math.sqrt(variance)
    low_rank = math.floor((len(slopes) - half_width) / 2) - 1
    high_rank = math.ceil((len(slopes) + half_width) / 2)
    low = float(slopes[low_rank]) if low_rank >= 0 else _beyond(slopes, -1)
    high = float(slopes[high_rank]) if high_rank < len(slopes) else _beyond(slopes, 1)
    return low, high


def _beyond(slopes: FloatArray, sign: int) -> float:
    """With few, correlated points the rank interval has no end: take the extreme pairwise slope, unless all agree."""
    return float(slopes[0] if sign < 0 else slopes[-1])
