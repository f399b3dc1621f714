"""Counts how many scores reach each of a few thresholds, row by row: all that ranks need. R thresholds, G gallery, B rows."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]

_COMPARISONS_A_SORT_COSTS = 100  # measured: to sort an element costs about as much as to compare a hundred
_THRESHOLDS_AT_ONCE, _SCORES_AT_ONCE = 32, 2**14  # half a megabyte of flags: it stays in a core's cache
_ADDED_IN_BYTES = 16  # flags added as bytes, where up to 255 cannot overflow


def count_at_least(scores_BG: Floats, thresholds_of: Sequence[Floats], rows: Iterable[int]) -> list[Rows]:
    """Return, for each of `rows`, how many of its scores reach each of its ascending thresholds.

    Where few reach the lowest, they alone are taken out and sorted, which serves all thresholds. Otherwise comparing
    the whole row with each threshold is cheaper than sorting it.
    """
    passes_G = np.empty(scores_BG.shape[1], bool)
    flags = np.empty(_THRESHOLDS_AT_ONCE * _SCORES_AT_ONCE, bool)
    return [_count(scores_BG[row], thresholds_of[row], passes_G, flags) for row in rows]


def _count(scores_G: Floats, thresholds_R: Floats, passes_G: Flags, flags: Flags) -> Rows:
    num_passing = np.count_nonzero(np.greater_equal(scores_G, thresholds_R[0], out=passes_G))
    if num_passing * _COMPARISONS_A_SORT_COSTS < len(scores_G) * len(thresholds_R):
        reached = scores_G[passes_G.nonzero()[0]]
        reached.sort()
        return len(reached) - reached.searchsorted(thresholds_R)
    counts_R = np.zeros(len(thresholds_R), np.int64)
    for first in range(0, len(thresholds_R), _THRESHOLDS_AT_ONCE):
        some = slice(first, first + _THRESHOLDS_AT_ONCE)
        for start in range(0, len(scores_G), _SCORES_AT_ONCE):
            counts_R[some] += _count_tile(scores_G[start : start + _SCORES_AT_ONCE], thresholds_R[some], flags)
    return counts_R


def _count_tile(scores: Floats, thresholds_R: Floats, flags: Flags) -> Rows:
    """Compare all with all in one call and add the flags up, first as bytes: many short calls cost more than the arithmetic."""
    width = -(-len(scores) // _ADDED_IN_BYTES) * _ADDED_IN_BYTES
    flags_RW = flags[: len(thresholds_R) * width].reshape(len(thresholds_R), width)
    np.greater_equal(scores, thresholds_R[:, None], out=flags_RW[:, : len(scores)])
    flags_RW[:, len(scores) :] = False
    added = np.add.reduce(flags_RW.view(np.uint8).reshape(len(thresholds_R), _ADDED_IN_BYTES, -1), axis=1, dtype=np.uint8)
    counts_R: Rows = added.sum(axis=1, dtype=np.int64)
    return counts_R
