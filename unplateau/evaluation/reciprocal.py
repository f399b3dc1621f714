"""k-reciprocal neighbourhoods of images as sparse weights (Zhong et al. 2017, sections 3.2 and 3.3, equations 3, 4, 7).

Two images are reciprocal neighbours if each is among the K nearest of the other. The neighbourhood takes in those of
its members (of half the size) that it mostly holds already, and weighs each member by exp(-distance).

Shapes: N images, K neighbours, H neighbours of the half-sized neighbourhood, B images of a block, M members at most.
"""

import numpy as np
from numpy.typing import NDArray

from unplateau.evaluation.neighbours import Neighbours, Space
from unplateau.evaluation.sparse_rows import SparseRows, offsets_of, stack

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Flags = NDArray[np.bool_]

_ENOUGH_IN_COMMON = 2 / 3  # equation 4
_MOST_ROWS_AT_ONCE = 512
_BYTES_A_CANDIDATE = 60  # measured, of the arrays of `_members`


def neighbourhoods(neighbours: Neighbours, k1: int, space: Space, *, memory_megabytes: float) -> SparseRows:
    """Return the weights of every image's neighbourhood; each row adds up to 1.

    Args:
        neighbours: k1 + 1 nearest images at least (or all there are), each image's own row among them.
        k1: size of the neighbourhood, without the image itself.
        space: squared distances of any two images.
        memory_megabytes: bound on what is held beside the result.
    """
    rows_NK = neighbours.rows_NK[:, : k1 + 1]
    rows_NH = rows_NK[:, : int(np.around(k1 / 2)) + 1]
    num_images, num_candidates = len(rows_NK), rows_NK.shape[1] * (rows_NH.shape[1] + 1)
    at_once = int(memory_megabytes * 2**20 // (num_images + _BYTES_A_CANDIDATE * num_candidates))
    step = max(1, min(_MOST_ROWS_AT_ONCE, at_once))
    mutual_NK, mutual_NH = _is_mutual(rows_NK, step), _is_mutual(rows_NH, step)
    parts = []
    for start in range(0, num_images, step):
        block = slice(start, min(start + step, num_images))
        candidates_BM = _candidates(block, rows_NK, rows_NH, mutual_NK, mutual_NH)
        parts.append(_weigh(block, candidates_BM, neighbours, space))
    return stack(parts)


def _is_mutual(rows_NK: Ints, step: int) -> Flags:
    mutual_NK = np.empty(rows_NK.shape, bool)
    for start in range(0, len(rows_NK), step):
        theirs_BKK = rows_NK[rows_NK[start : start + step]]
        images_B = np.arange(start, start + len(theirs_BKK), dtype=np.int32)
        mutual_NK[start : start + step] = (theirs_BKK == images_B[:, None, None]).any(axis=2)
    return mutual_NK


def _candidates(block: slice, rows_NK: Ints, rows_NH: Ints, mutual_NK: Flags, mutual_NH: Flags) -> Ints:
    """Return the members of each image's neighbourhood, its own reciprocal neighbours first; others are N, repeats occur."""
    own_BK, is_own_BK = rows_NK[block], mutual_NK[block]
    theirs_BKH, is_theirs_BKH = rows_NH[own_BK], mutual_NH[own_BK]
    num_images = len(rows_NK)
    images_B1 = np.arange(len(own_BK))[:, None]
    is_member_BN = np.zeros((len(own_BK), num_images), bool)
    is_member_BN[np.broadcast_to(images_B1, own_BK.shape)[is_own_BK], own_BK[is_own_BK]] = True
    in_common_BK = (is_member_BN[images_B1[:, :, None], theirs_BKH] & is_theirs_BKH).sum(axis=2)
    taken_in_BK = is_own_BK & (in_common_BK > _ENOUGH_IN_COMMON * is_theirs_BKH.sum(axis=2))
    theirs_BKH = np.where(is_theirs_BKH & taken_in_BK[:, :, None], theirs_BKH, num_images)
    return np.concatenate((np.where(is_own_BK, own_BK, num_images), theirs_BKH.reshape(len(own_BK), -1)), axis=1)


def _weigh(block: slice, candidates_BM: Ints, neighbours: Neighbours, space: Space) -> SparseRows:
    """Return the distinct candidates with their weights."""
    num_images, num_candidates = len(neighbours.rows_NK), candidates_BM.shape[1]
    packed_BM = candidates_BM * np.int64(num_candidates) + np.arange(num_candidates)  # sorted by member, then by place
    packed_BM.sort(axis=1)
    members_BM, places_BM = np.divmod(packed_BM, num_candidates)
    is_first_BM = np.diff(members_BM, axis=1, prepend=-1) > 0
    is_first_BM &= members_BM < num_images
    in_block = np.repeat(np.arange(len(candidates_BM)), is_first_BM.sum(axis=1))
    members, places, images = members_BM[is_first_BM], places_BM[is_first_BM], in_block + block.start
    known = places < neighbours.rows_NK.shape[1]
    squared = np.empty(len(members), np.float32)
    squared[known] = neighbours.squared_distances_NK[images[known], places[known]]
    squared[~known] = space.squared_distances(images[~known], members[~known])
    farthest = neighbours.farthest_N[images]
    weights = np.exp(-np.divide(squared, farthest, out=np.zeros_like(squared), where=farthest > 0))
    sums_B = np.bincount(in_block, weights, minlength=len(candidates_BM))
    offsets = offsets_of(np.bincount(in_block, minlength=len(candidates_BM)))
    return SparseRows(offsets, members.astype(np.int32), (weights / sums_B[in_block]).astype(np.float32))
