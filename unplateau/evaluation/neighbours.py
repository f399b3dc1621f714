"""Exact nearest neighbours among one set of images, a block at a time: no matrix of all against all is ever held.

Shapes: N images, D embedding dim, K neighbours, B images of a block.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unplateau.evaluation.scores import (
    Blocks,
    Metric,
    block_rows,
    halved_distance_blocks,
    inverse,
    lengths,
    product_blocks,
    squares,
)

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

_PAIRS_AT_ONCE = 4096
_SHARE_OF_SCORES = 0.8  # of the memory; the rest is for the scores that pass the threshold
_SCORES_IN_CACHE = 2**18  # looked at together: they are read three times
_GROUP = 32  # of so many scores only the best is looked at first


@dataclass(frozen=True)
class Neighbours:
    """The nearest images of each image, itself among them, nearest first; ties go to the lower row."""

    rows_NK: NDArray[np.int32]  # noqa: N815
    squared_distances_NK: Floats  # noqa: N815
    """Euclidean; of unit vectors where the metric is cosine (then twice the cosine distance)."""
    farthest_N: Floats  # noqa: N815
    """Squared distance of the farthest image."""


@dataclass(frozen=True)
class Space:
    """Features as the metric sees them: of unit length under cosine, otherwise as they are. Distances are Euclidean."""

    features_ND: Floats  # noqa: N815
    squares_N: Floats  # noqa: N815
    metric: Metric

    @property
    def double_or_plain_squares_N(self) -> Floats:  # noqa: N802
        """What the squared distance adds to minus twice the score; cosine scores lack both squares, the others one."""
        return 2 * self.squares_N if self.metric == "cosine" else self.squares_N

    def score_blocks(self, query_rows_Q: Rows | slice, first: int, num_rows: int) -> Blocks:
        """Give (which of the queries, scores_BN with the images from `first` on) until all queries are done."""
        query_QD, others_ND = self.features_ND[query_rows_Q], self.features_ND[first:]
        if self.metric == "cosine":
            return product_blocks(query_QD, others_ND, num_rows)
        return halved_distance_blocks(query_QD, others_ND, self.squares_N[first:], num_rows)

    def squared_distances(self, left: Rows, right: Rows) -> Floats:
        """Return the squared distance of each pair of rows."""
        products = np.empty(len(left), np.float32)
        for start in range(0, len(left), _PAIRS_AT_ONCE):
            some = slice(start, start + _PAIRS_AT_ONCE)
            np.einsum("pd,pd->p", self.features_ND[left[some]], self.features_ND[right[some]], out=products[some])
        return np.maximum(self.squares_N[left] + self.squares_N[right] - 2 * products, 0)


def space_of(features_ND: Floats, metric: Metric) -> Space:
    """Prepare the features, in place. A zero vector is taken to be as far from everything as a right angle.

    Raises:
        DataError: a feature is not finite, or too long for single precision.
    """
    lengths_N = lengths(features_ND, "query or gallery")
    if metric == "euclidean":
        return Space(features_ND, squares(features_ND), metric)
    features_ND *= inverse(lengths_N)[:, None]
    return Space(features_ND, np.ones_like(lengths_N), metric)


def nearest(space: Space, num_neighbours: int, *, memory_megabytes: float) -> Neighbours:
    """Find the nearest images of every image.

    Args:
        num_neighbours: K, itself included; no more than there are images.
        memory_megabytes: bound on what is held beside features and result.
    """
    num_images, squares_N = len(space.features_ND), space.double_or_plain_squares_N
    rows_NK = np.empty((num_images, num_neighbours), np.int32)
    distances_NK = np.empty((num_images, num_neighbours), np.float32)
    farthest_N = np.empty(num_images, np.float32)
    num_rows = block_rows(*space.features_ND.shape, memory_megabytes=memory_megabytes * _SHARE_OF_SCORES)
    step = max(1, _SCORES_IN_CACHE // num_images)
    for block, scores_BN in space.score_blocks(slice(None), 0, num_rows):
        for start in range(block.start, block.stop, step):
            rows = slice(start, min(start + step, block.stop))
            part_BN = scores_BN[start - block.start : rows.stop - block.start]
            rows_NK[rows], best_BK = _best(part_BN, num_neighbours)
            distances_NK[rows] = np.maximum(squares_N[rows, None] - 2 * best_BK, 0)
            farthest_N[rows] = np.maximum(squares_N[rows] - 2 * part_BN.min(axis=1), 0)
    return Neighbours(rows_NK, distances_NK, farthest_N)


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
