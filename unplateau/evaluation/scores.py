"""Similarity scores of queries with the whole gallery, one query at a time, in single precision.

A score is larger where images are more alike. Within one query it orders the gallery exactly as the metric does; it is
not the metric itself: a term that is the same for the whole gallery is left out.

Bit for bit, equal gallery features get equal scores: they come of matrix products, never of a matrix-vector product
(whose kernels sum in another order near the end of the matrix). Ties, and so a collapsed model, depend on it.

Shapes: Q queries, G gallery, N images, D embedding dim, B queries of a block.
"""

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from unplateau.base.errors import DataError, UsageError

Metric = Literal["cosine", "euclidean"]
Floats = NDArray[np.float32]
Blocks = Iterator[tuple[slice, Floats]]

DEFAULT_MEMORY_MEGABYTES = 256
MOST_THREADS = 4  # that look at a block's rows
_MAX_BLOCK_ROWS = 512  # measured: beyond this a matrix product of 512 columns gets no faster
_MIN_BLOCK_ROWS = 2  # one row would be a matrix-vector product
_LONGEST = 1e18  # squares of longer features overflow single precision
_SHORTEST = 1e-30  # a shorter feature has no direction that single precision can tell: a zero vector
_SQUARE_IS_SAFE = (1e-15, 1e18)  # outside, a sum of squares in single precision loses digits


def check_metric(metric: str) -> Metric:
    """Return the metric's name.

    Raises:
        UsageError: there is no such metric.
    """
    if metric not in get_args(Metric):
        raise UsageError(f"The metric is {metric!r}; expected one of {', '.join(get_args(Metric))}.")
    return metric  # type: ignore[return-value]


def block_rows(num_gallery: int, embedding_dim: int, *, memory_megabytes: float, other_numbers_a_row: int = 0) -> int:
    """Return how many queries fit into one block; two at least, whatever the memory.

    >>> block_rows(15_913, 512, memory_megabytes=256), block_rows(515_913, 512, memory_megabytes=256)
    (512, 113)
    """
    for_the_gallery = num_gallery * (12 + 13 * MOST_THREADS)  # order and factors; a thread's mask and the scores that pass it
    left = memory_megabytes * 2**20 - for_the_gallery
    fitting = int(left // (4 * (num_gallery + 2 * embedding_dim + other_numbers_a_row)))
    return max(_MIN_BLOCK_ROWS, min(_MAX_BLOCK_ROWS, fitting))


def score_blocks(query_QD: Floats, gallery_GD: Floats, *, metric: Metric, num_rows: int) -> Blocks:
    """Give (which queries, their scores_BG) until all queries are done.

    The scores lie in one buffer that the next block overwrites; the receiver may change them.

    Args:
        query_QD, gallery_GD: single precision, of one embedding dim.
        metric: "cosine" (a zero vector scores 0 with all) or "euclidean".
        num_rows: queries of a block, from `block_rows`.

    Raises:
        DataError: a feature is not finite, or too long for single precision.
    """
    query_lengths_Q, gallery_lengths_G = lengths(query_QD, "query"), lengths(gallery_GD, "gallery")
    if metric == "euclidean":
        yield from halved_distance_blocks(query_QD, gallery_GD, squares(gallery_GD), num_rows)
        return
    query_factors_Q, gallery_factors_G = inverse(query_lengths_Q), inverse(gallery_lengths_G)
    for rows, scores_BG in product_blocks(query_QD, gallery_GD, num_rows, query_factors_Q):
        scores_BG *= gallery_factors_G
        yield rows, scores_BG


def halved_distance_blocks(query_QD: Floats, gallery_GD: Floats, gallery_squares_G: Floats, num_rows: int) -> Blocks:
    """Give blocks of minus half the squared Euclidean distance, but for the query's own square, which it lacks."""
    halves_G = gallery_squares_G / 2
    for rows, scores_BG in product_blocks(query_QD, gallery_GD, num_rows):
        scores_BG -= halves_G
        yield rows, scores_BG


def product_blocks(query_QD: Floats, gallery_GD: Floats, num_rows: int, query_factors_Q: Floats | None = None) -> Blocks:
    """Give blocks of plain inner products; the queries are multiplied with their factors first."""
    buffer_BG = np.empty((num_rows, len(gallery_GD)), np.float32)
    for start in range(0, len(query_QD), num_rows):
        rows = slice(start, min(start + num_rows, len(query_QD)))
        block_BD = query_QD[rows] if query_factors_Q is None else query_QD[rows] * query_factors_Q[rows, None]
        yield rows, _product(block_BD, gallery_GD, buffer_BG)


def lengths(features_ND: Floats, role: str) -> Floats:
    """Return the Euclidean length of every feature.

    Raises:
        DataError: a feature is not finite, or too long for single precision.
    """
    lengths_N = np.sqrt(squares(features_ND))
    unsafe = np.flatnonzero(~((lengths_N > _SQUARE_IS_SAFE[0]) & (lengths_N < _SQUARE_IS_SAFE[1])))
    for start in range(0, len(unsafe), 4096):  # in pieces: in double precision they take twice their memory
        some = unsafe[start : start + 4096]
        exact = np.linalg.norm(features_ND[some].astype(np.float64), axis=1)
        _refuse(exact, some, role)
        lengths_N[some] = exact
    return lengths_N


def squares(features_ND: Floats) -> Floats:
    """Return the squared length of every feature."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.einsum("nd,nd->n", features_ND, features_ND)


def inverse(lengths_N: Floats) -> Floats:
    """Return 1 / length, and 0 for zero vectors."""
    has_direction_N = lengths_N > _SHORTEST
    return np.divide(1, lengths_N, out=np.zeros_like(lengths_N), where=has_direction_N)


def _refuse(lengths: NDArray[np.float64], rows: NDArray[np.int64], role: str) -> None:
    bad = ~(lengths < _LONGEST)
    if not bad.any():
        return
    what = "are longer than 1e18" if np.isfinite(lengths[bad]).all() else "hold NaN or infinity"
    raise DataError(
        f"{bad.sum()} of the {role} features {what} (the first is row {rows[bad][0]}); expected finite numbers. "
        "The model has diverged, or half precision overflowed: check its loss, and extract in single precision."
    )


def _product(block_BD: Floats, gallery_GD: Floats, buffer_BG: Floats) -> Floats:
    if len(block_BD) == 1:
        np.matmul(np.repeat(block_BD, 2, axis=0), gallery_GD.T, out=buffer_BG[:2])
        return buffer_BG[:1]
    return np.matmul(block_BD, gallery_GD.T, out=buffer_BG[: len(block_BD)])
