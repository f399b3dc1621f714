"""Between which values scores lie when pictures that are nearly equally alike may come in any order. Q queries, G gallery.

Arithmetic in another order changes a cosine by about 1e-7. Of two gallery pictures closer together than that, either may come
first, before an export and after it, and mAP moves with them. Slow and plain: it is for samples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unplateau.evaluation.embedded import JUNK_PERSON, UNKNOWN_CAMERA, Embedded

TIED = 1e-5  # of a cosine, or of a distance as a share of the longest embedding


@dataclass(frozen=True)
class Bounds:
    """The lowest and the highest value that a score can have."""

    mAP: tuple[float, float]  # noqa: N815 - the field's spelling
    rank_1: tuple[float, float]

    def hold(self, mean_average_precision: float, rank_1: float, *, slack: float) -> bool:
        """Return whether both scores are possible; `slack` is for the order of summing."""
        pairs = ((mean_average_precision, self.mAP), (rank_1, self.rank_1))
        return all(low - slack <= value <= high + slack for value, (low, high) in pairs)


def bounds(query: Embedded, gallery: Embedded, *, metric: str) -> Bounds:
    """Return the bounds of mAP and rank-1, with every near tie decided against the query, then for it.

    Args:
        query, gallery: embeddings of one model.
        metric: "cosine" or "euclidean".
    """
    scores_QG, tied = _scores(query.features_ND, gallery.features_ND, metric)
    is_same_QG = query.person_ids_N[:, None] == gallery.person_ids_N
    is_own_camera_QG = (query.camera_ids_N[:, None] == gallery.camera_ids_N) & (gallery.camera_ids_N != UNKNOWN_CAMERA)
    counts_QG = (gallery.person_ids_N != JUNK_PERSON) & ~(is_same_QG & is_own_camera_QG)
    low, high = [], []
    for scores_G, is_same_G, counts_G in zip(scores_QG, is_same_QG, counts_QG, strict=True):
        right, wrong = np.sort(scores_G[is_same_G & counts_G])[::-1], scores_G[~is_same_G & counts_G]
        if len(right):
            low.append(_precision_and_first(right - tied, wrong))
            high.append(_precision_and_first(right + tied, wrong))
    ends = [np.mean(values, axis=0) for values in (low, high)]
    return Bounds((float(ends[0][0]), float(ends[1][0])), (float(ends[0][1]), float(ends[1][1])))


def _scores(query_QD: NDArray[np.float32], gallery_GD: NDArray[np.float32], metric: str) -> tuple[NDArray[np.float64], float]:
    query, gallery = query_QD.astype(np.float64), gallery_GD.astype(np.float64)
    lengths_Q, lengths_G = (np.linalg.norm(rows, axis=1) for rows in (query, gallery))
    if metric == "cosine":
        return (query / lengths_Q[:, None]) @ (gallery / lengths_G[:, None]).T, TIED
    scores_QG = -np.stack([np.linalg.norm(gallery - row, axis=1) for row in query])
    return scores_QG, TIED * float(max(lengths_Q.max(), lengths_G.max()))


def _precision_and_first(right_R: NDArray[np.float64], wrong: NDArray[np.float64]) -> tuple[float, float]:
    """Average precision, and whether a right answer comes first; wrong answers that are equal come before."""
    wrong_ahead_R = (wrong >= right_R[:, None]).sum(axis=1)
    place_R = np.arange(1, len(right_R) + 1)
    return float((place_R / (place_R + wrong_ahead_R)).mean()), float(wrong_ahead_R[0] == 0)
