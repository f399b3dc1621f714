"""Whether an exported model does what the model does: the same embeddings, the same ranking. N images, D embedding dim."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unplateau.evaluation.embedded import Embedded
from unplateau.evaluation.ranking import retrieve
from unplateau.export.ties import Bounds, bounds
from unplateau.runs.record import RetrievalMetrics

MAX_DIFFERENCE = 1e-4  # of numbers up to one, and of the largest number where it is greater: see `Parity.allowed`
_EQUAL = 1e-9  # of the same ranking, only the order of summing can differ


@dataclass(frozen=True)
class Parity:
    """An exported model beside the one it was made from."""

    num_images: int
    largest_difference: float
    """Between any two numbers of the embeddings."""
    largest_value: float
    """Largest absolute number in the embeddings, to see the difference against."""
    before: RetrievalMetrics | None = None
    """Of the model in torch, on a sample; None where there were no images of persons."""
    after: RetrievalMetrics | None = None
    """Of the exported model, on the same sample."""
    bounds: Bounds | None = None
    """What the scores before can be, near ties in any order."""

    @property
    def allowed(self) -> float:
        """The difference that single precision may make.

        Embeddings after a BNNeck reach 5 to 9. There float32 itself is up to 1.4e-4 from float64 in an untrained MobileNetV2, and
        2e-5 in one with ImageNet weights, before and after the export alike.
        """
        return MAX_DIFFERENCE * max(1.0, self.largest_value)

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
        if not self.largest_difference <= self.allowed:  # NaN is a problem too
            problems.append(
                f"embeddings differ by up to {self.largest_difference:.2e}, more than {self.allowed:.2e} "
                f"(the largest number in them is {self.largest_value:.3g})"
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
    difference = float(np.abs(before.features_ND - after_ND).max())
    largest = float(np.abs(before.features_ND).max())
    if num_queries == 0:
        return Parity(len(before), difference, largest)
    if not np.isfinite(after_ND).all():
        return Parity(len(before), float("nan"), largest)
    after = Embedded(after_ND, before.person_ids_N, before.camera_ids_N)
    rows = np.split(np.arange(len(before)), [num_queries])
    old, new = (retrieve(one.rows(rows[0]), one.rows(rows[1]), metric=metric).metrics for one in (before, after))
    possible = bounds(before.rows(rows[0]), before.rows(rows[1]), metric=metric)
    return Parity(len(before), difference, largest, old, new, possible)
