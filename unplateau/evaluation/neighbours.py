"""Exact nearest neighbours among one set of images, a block at a time: no matrix of all against all is ever held.

Shapes: N images, D embedding dim, K neighbours, B images of a block.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unplateau.evaluation.scores import Metric, block_rows, inverse, lengths, score_blocks, squares

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

_PAIRS_AT_ONCE = 4096
_SHARE_OF_SCORES = 0.8  # of the memory; the rest is for the scores that pass the threshold
_GROUP = 16  # of so many scores only the best is looked at first; measured: 8 to 32 are alike


@dataclass(frozen=True)
class Neighbours:
    """The nearest images of each image, itself among them, nearest first; ties go to the lower row."""

    rows_NK: NDArray[np.int32]  # noqa: N815
    squared_distances_NK: Floats  # noqa: N815
    """Euclidean; of unit vectors where the metric is cosine (then twice the cosine distance)."""
    farthest_N: Floats  # noqa: N815
    """Squared distance of the farthest image."""


@dataclass(frozen=True)
class Pairs:
    """Squared Euclidean distances of chosen pairs of images, as the metric sees them."""

    features_ND: Floats  # noqa: N815
    factors_N: Floats  # noqa: N815
    """What each feature is multiplied with: 1 / length under cosine, otherwise 1."""
    squares_N: Floats  # noqa: N815
    """Squared lengths after that."""

    def squared_distances(self, left: Rows, right: Rows) -> Floats:
        """Return the distance of each pair of rows."""
        products = np.empty(len(left), np.float32)
        for start in range(0, len(left), _PAIRS_AT_ONCE):
            some = slice(start, start + _PAIRS_AT_ONCE)
            np.einsum("pd,pd->p", self.features_ND[left[some]], self.features_ND[right[some]], out=products[some])
        products *= self.factors_N[left] * self.factors_N[right]
        return np.maximum(self.squares_N[left] + self.squares_N[right] - 2 * products, 0)


def pairs_of(features_ND: Floats, metric: Metric) -> Pairs:
    """Prepare the distances of pairs. Raises DataError as `nearest`."""
    lengths_N = lengths(features_ND, "query or gallery")
    if metric == "euclidean":
        return Pairs(features_ND, np.ones_like(lengths_N), squares(features_ND))
    factors_N = inverse(lengths_N)
    return Pairs(features_ND, factors_N, np.ones_like(factors_N))  # a zero vector is taken to be as far from all


def nearest(pairs: Pairs, num_neighbours: int, *, metric: Metric, memory_megabytes: float) -> Neighbours:
    """Find the nearest images of every image.

    Args:
        pairs: the features.
        num_neighbours: K, itself included; no more than there are images.
        memory_megabytes: bound on what is held beside features and result.
    """
    features_ND, shape = pairs.features_ND, (len(pairs.features_ND), num_neighbours)
    rows_NK, distances_NK = np.empty(shape, np.int32), np.empty(shape, np.float32)
    farthest_N = np.empty(len(features_ND), np.float32)
    num_rows = block_rows(*features_ND.shape, memory_megabytes=memory_megabytes * _SHARE_OF_SCORES)
    for block, scores_BN in score_blocks(features_ND, features_ND, metric=metric, num_rows=num_rows):
        rows_NK[block], best_BK = _best(scores_BN, num_neighbours)
        distances_NK[block] = from_scores(best_BK, pairs.squares_N[block, None], metric)
        farthest_N[block] = from_scores(scores_BN.min(axis=1), pairs.squares_N[block], metric)
    return Neighbours(rows_NK, distances_NK, farthest_N)


def from_scores(scores: Floats, query_squares: Floats, metric: Metric) -> Floats:
    """Return squared Euclidean distances from scores of `score_blocks` and the squared lengths of their queries."""
    if metric == "cosine":
        return np.maximum(2 - 2 * scores, 0)  # of unit vectors; a zero vector is as far from all
    return np.maximum(query_squares - 2 * scores, 0)


def _best(scores_BN: Floats, num_best: int) -> tuple[NDArray[np.int32], Floats]:
    """Return columns and scores of each row's best, best first.

    The best scores of groups of columns are cheap to find, and the K-th best of them is reached by K scores at least:
    what reaches it is a handful, and holds all of the K best.
    """
    thresholds_B = _reached_by_enough(scores_BN, num_best)
    flat = np.flatnonzero(scores_BN >= thresholds_B[:, None])
    rows, columns = np.divmod(flat, scores_BN.shape[1])
    passing = scores_BN[rows, columns]
    order = np.lexsort((-passing, rows))  # stable: of equal scores the lower column comes first
    counts_B = np.bincount(rows, minlength=len(scores_BN))
    chosen_BK = order[(np.cumsum(counts_B) - counts_B)[:, None] + np.arange(num_best)]
    return columns[chosen_BK].astype(np.int32), passing[chosen_BK]


def _reached_by_enough(scores_BN: Floats, num_best: int) -> Floats:
    """Return, for each row, a value that at least `num_best` of its scores reach, and not many more."""
    num_rows, num_columns = scores_BN.shape
    num_groups = num_columns // _GROUP
    if num_groups < num_best:
        return np.partition(scores_BN, num_columns - num_best, axis=1)[:, num_columns - num_best]
    grouped = scores_BN[:, : num_groups * _GROUP].reshape(num_rows, _GROUP, num_groups)  # a view
    best_of_groups = grouped.max(axis=1)
    best_of_groups.partition(num_groups - num_best, axis=1)
    return best_of_groups[:, num_groups - num_best]
