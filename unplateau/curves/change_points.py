"""Where a curve changes its course: the best partition into straight pieces (Jackson 2005, optimal partitioning).

Each piece is a least-squares line and pays a penalty, so that noise alone makes no piece. Used to look at the last regime only.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from unplateau.curves.noise import noise_of_differences
from unplateau.curves.smoothing import FloatArray

_SHORTEST_PIECE = 4
_MAX_POINTS = 400
_PENALTY = 8.0  # times ln n: three parameters a piece, and room for autocorrelated noise (checked by simulation in the tests)


def change_points(y: ArrayLike) -> tuple[int, ...]:
    """Return the indices at which a new straight piece begins, rising, without 0.

    Args:
        y: shape (n,), equally spaced and finite; of more than 400 points only the last 400 are looked at.

    >>> change_points([5.0] * 10 + [2.0] * 10)
    (10,)
    >>> change_points([1.0, 2.0, 3.0])
    ()
    """
    values = np.asarray(y, dtype=float)
    skipped = max(0, len(values) - _MAX_POINTS)
    values = values[skipped:]
    if len(values) < 2 * _SHORTEST_PIECE:
        return ()
    return tuple(skipped + place for place in _partition(values))


def last_piece(y: ArrayLike) -> int:
    """Return the index at which the last straight piece of the curve begins (0 for a curve without a change).

    >>> last_piece([9.0, 8.0, 7.0, 6.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0])
    4
    """
    return max(change_points(y), default=0)


def _partition(values: FloatArray) -> list[int]:
    num = len(values)
    tiny = 1e-9 * (1.0 + float(np.abs(values).max()))
    variance = max(noise_of_differences(values), tiny) ** 2
    penalty = _PENALTY * math.log(num)
    best = np.full(num + 1, math.inf)
    best[0] = -penalty
    previous = np.zeros(num + 1, dtype=int)
    sums = _cumulative_sums(values)
    for end in range(_SHORTEST_PIECE, num + 1):
        starts = np.arange(0, end - _SHORTEST_PIECE + 1)
        costs = best[starts] + _line_costs(sums, starts, end) / variance + penalty
        previous[end] = int(np.argmin(costs))
        best[end] = costs[previous[end]]
    return _walk_back(previous, num)


def _walk_back(previous: np.ndarray, end: int) -> list[int]:
    places: list[int] = []
    while end > 0:
        end = int(previous[end])
        if end > 0:
            places.insert(0, end)
    return places


def _cumulative_sums(values: FloatArray) -> FloatArray:
    """Return sums of (y, y², xy) up to each index, shape (3, n + 1); centred first, so that squares do not cancel."""
    centred = values - values.mean()
    rows = np.stack([centred, centred**2, np.arange(len(values)) * centred])
    return np.concatenate([np.zeros((3, 1)), np.cumsum(rows, axis=1)], axis=1)


def _line_costs(sums: FloatArray, starts: np.ndarray, end: int) -> FloatArray:
    """Return the residual sums of squares of the lines over [start, end) for every start."""
    count = (end - starts).astype(float)
    y, yy, xy = sums[:, end][:, None] - sums[:, starts]
    mean_x = (starts + end - 1) / 2
    spread_x = count * (count**2 - 1) / 12
    shared = xy - mean_x * y
    return np.maximum(yy - y**2 / count - shared**2 / spread_x, 0.0)
