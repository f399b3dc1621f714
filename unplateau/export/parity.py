"""Whether an exported model does what the model does: the same embeddings, the same ranking. N images, D embedding dim."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from unplateau.evaluation.embedded import Embedded
from unplateau.evaluation.ranking import retrieve
from unplateau.export.ties import Bounds, bounds
from unplateau.runs.record import RetrievalMetrics

MAX_DIFFERENCE = 1e-4
"""Of an embedding brought to the length at which it is compared: one for cosine, a share of the longest one for Euclidean.

Not of the raw numbers: a network whose embeddings are ten times as long is the same network. A BNNeck's reach 5 to 9; there
float32 itself is up to 1.4e-4 from float64 in an untrained MobileNetV2, before and after the export alike.
"""
_TINY = 1e-30  # instead of nothing, as a length
_EQUAL = 1e-9  # of the same ranking, only the order of summing can differ


@dataclass(frozen=True)
class Parity:
    """An exported model beside the one it was made from."""

    num_images: int
    largest_move: float
    """How far any embedding moves, at the length at which it is compared.

    No number in it differs by more then, and no cosine between two images by more than twice as much.
    """
    largest_difference: float
    """Between any two raw numbers of the embeddings."""
    largest_value: float
    """Largest absolute raw number, to see that difference against."""
    before: RetrievalMetrics | None = None
    """Of the model in torch, on a sample; None where there were no images of persons."""
    after: RetrievalMetrics | None = None
    """Of the exported model, on the same sample."""
    bounds: Bounds | None = None
    """What the scores before can be, near ties in any order."""

    @property
    def has_equal_scores(self) -> bool:
        """mAP and rank-1 are the same to the last digit, not only within near ties."""
        if self.before is None or self.after is None:
            return False
        return abs(self.before.mAP - self.after.mAP) <= _EQUAL and abs(self.before.cmc["1"] - self.after.cmc["1"]) <= _EQUAL

    @property
    def problems(self) -> tuple[str, ...]:
        """What is not the same, one sentence each; none is what is wanted."""
        problems = []
        if not self.largest_move <= MAX_DIFFERENCE:  # NaN is a problem too
            problems.append(
                f"embeddings differ by up to {self.largest_move:.2e} of their length, more than {MAX_DIFFERENCE:.0e} "
                f"(raw numbers by {self.largest_difference:.2e}, the largest is {self.largest_value:.3g})"
            )
        if self.before is not None and self.after is not None and self.bounds is not None:
            (low, high), mean, first = self.bounds.mAP, self.after.mAP, self.after.cmc["1"]
            if not self.bounds.hold(mean, first, slack=_EQUAL):
                problems.append(
                    f"rankings differ: mAP {self.before.mAP:.6f} before, {mean:.6f} after (near ties allow {low:.6f} to "
                    f"{high:.6f}), rank-1 {self.before.cmc['1']:.6f} before, {first:.6f} after"
                )
        return tuple(problems)


def compare(before: Embedded, after_ND: NDArray[np.float32], *, num_queries: int, metric: str) -> Parity:
    """Compare the embeddings of the same images, and the rankings they give.

    Args:
        before: torch's, queries first, then the gallery.
        after_ND: the exported model's, in the same order.
        num_queries: how many of them are queries; 0 = rank nothing.
        metric: "cosine" or "euclidean".
    """
    numbers = Parity(
        len(before),
        largest_move(before.features_ND, after_ND, metric=metric),
        largest_difference=float(np.abs(before.features_ND - after_ND).max()),
        largest_value=float(np.abs(before.features_ND).max()),
    )
    if num_queries == 0 or not np.isfinite(after_ND).all():
        return numbers
    after = Embedded(after_ND, before.person_ids_N, before.camera_ids_N)
    rows = np.split(np.arange(len(before)), [num_queries])
    old, new = (retrieve(one.rows(rows[0]), one.rows(rows[1]), metric=metric).metrics for one in (before, after))
    possible = bounds(before.rows(rows[0]), before.rows(rows[1]), metric=metric)
    return replace(numbers, before=old, after=new, bounds=possible)


def largest_move(before_ND: NDArray[np.float32], after_ND: NDArray[np.float32], *, metric: str) -> float:
    """Return the length of the largest difference between two embeddings of one image, at the length at which they are compared.

    Args:
        before_ND, after_ND: of the same images.
        metric: "cosine": each embedding has length one. "euclidean": the longest one before has.

    Returns:
        NaN where there are numbers that are none.
    """
    before, after = before_ND.astype(np.float64), after_ND.astype(np.float64)
    lengths_N = np.linalg.norm(before, axis=1, keepdims=True)
    if metric != "cosine":
        return float(np.linalg.norm(before - after, axis=1).max() / max(lengths_N.max(), _TINY))
    after_lengths_N = np.linalg.norm(after, axis=1, keepdims=True)
    moved_ND = before / np.maximum(lengths_N, _TINY) - after / np.maximum(after_lengths_N, _TINY)
    return float(np.linalg.norm(moved_ND, axis=1).max())
