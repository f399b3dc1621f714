"""How noisy a curve is, measured from what is left when its trend is taken away. Assumes no noise level.

Autocorrelation matters: the means of neighbouring epochs are not independent, and pretending so makes every drift significant.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from unplateau.curves.smoothing import FloatArray

_NORMAL_MAD = 1.4826  # standard deviation of a normal variable over its median absolute deviation
_LARGEST_CORRELATION = 0.9  # above it a few dozen points carry no usable information on their own noise


class Noise(NamedTuple):
    """Noise of a curve."""

    std: float
    """Robust standard deviation of the residuals, in the curve's unit."""
    correlation: float
    """Lag-1 autocorrelation of the residuals, corrected for the bias of short series, 0 to 0.9."""

    @property
    def inflation(self) -> float:
        """Factor by which autocorrelation widens the variance of a mean or a slope, at least 1."""
        return (1 + self.correlation) / (1 - self.correlation)


def noise_of_residuals(residuals: ArrayLike) -> Noise:
    """Return the noise of residuals that have no trend any more.

    Args:
        residuals: shape (n,), equally spaced.

    Returns:
        Noise with std 0 and correlation 0 for fewer than three points.

    >>> noise_of_residuals([0.0, 0.0, 0.0, 0.0]).std
    0.0
    """
    array = np.asarray(residuals, dtype=float)
    if len(array) < 3:
        return Noise(0.0, 0.0)
    centred = array - np.median(array)
    std = _NORMAL_MAD * float(np.median(np.abs(centred)))
    return Noise(std if std > 0 else float(np.std(array)), _lag_one_correlation(array))


def noise_of_differences(values: ArrayLike) -> float:
    """Return a robust standard deviation of the noise of a curve with any smooth trend, from its second differences.

    >>> noise_of_differences([1.0, 2.0, 3.0, 4.0])
    0.0
    """
    second = np.diff(np.asarray(values, dtype=float), n=2)
    if len(second) == 0:
        return 0.0
    return _NORMAL_MAD * float(np.median(np.abs(second))) / math.sqrt(6.0)  # Var(a - 2b + c) = 6 Var


def _lag_one_correlation(residuals: FloatArray) -> float:
    centred = residuals - residuals.mean()
    power = float(centred @ centred)
    if power <= 0:
        return 0.0
    raw = float(centred[:-1] @ centred[1:]) / power
    corrected = raw + (2 + 4 * raw) / len(centred)  # Marriott and Pope 1954, with a line taken away instead of a mean
    return float(np.clip(corrected, 0.0, _LARGEST_CORRELATION))
