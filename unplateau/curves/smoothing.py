"""Smoothing of curves: running median, debiased moving average, means of bins. Judges nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def running_median(values: ArrayLike, width: int) -> FloatArray:
    """Return the median of `width` values around each place; the window is cut at both ends.

    >>> running_median([1, 9, 2, 3, 2], 3).tolist()
    [5.0, 2.0, 3.0, 2.0, 2.5]
    """
    array = np.asarray(values, dtype=float)
    half = width // 2
    return np.array([np.median(array[max(0, place - half) : place + half + 1]) for place in range(len(array))])


def moving_average(values: ArrayLike, weight: float) -> FloatArray:
    """Return the exponential moving average that keeps `weight` (0 to 1) of the past, without the pull towards its start.

    >>> moving_average([2.0, 2.0, 4.0], 0.5).round(3).tolist()
    [2.0, 2.0, 3.143]
    """
    array = np.asarray(values, dtype=float)
    smoothed = np.empty_like(array)
    total, mass = 0.0, 0.0
    for place, value in enumerate(array):
        total = weight * total + (1 - weight) * value
        mass = weight * mass + (1 - weight)
        smoothed[place] = total / mass
    return smoothed


def without_spikes(values: ArrayLike, *, width: int = 5, limit: float = 6.0) -> FloatArray:
    """Return the curve with single points that leave their neighbours' median by `limit` noise deviations put back on it.

    >>> without_spikes([1.0, 1.1, 0.9, 9.0, 1.0, 1.1, 0.9]).max()
    np.float64(1.1)
    """
    array = np.asarray(values, dtype=float)
    middle = running_median(array, width)
    away = np.abs(array - middle)
    return np.where(away > limit * 1.4826 * np.median(away), middle, array) if np.median(away) > 0 else array


def bin_means(x: ArrayLike, y: ArrayLike, max_points: int) -> tuple[FloatArray, FloatArray]:
    """Return at most `max_points` means of neighbouring points, with the mean places; a short curve comes back as it is.

    >>> bin_means([0, 1, 2, 3], [5, 7, 1, 3], 2)[1].tolist()
    [6.0, 2.0]
    """
    places, values = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(values) <= max_points:
        return places, values
    edges = np.linspace(0, len(values), max_points + 1).astype(int)
    counts = np.diff(edges)
    return np.add.reduceat(places, edges[:-1]) / counts, np.add.reduceat(values, edges[:-1]) / counts
