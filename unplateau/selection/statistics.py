"""What is compared and what comes of it: curves of average precision, estimates, differences; choosing the epoch honestly; Holm.

How sure a difference is: `crossed`. Which run to take: `select`.

Legend: E epochs, Q queries, I identities, S seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from unplateau.base.randomness import stream_seed

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LEVEL = 0.95
CHECKPOINT, RECIPE = "checkpoint", "recipe"
_SPLITS = 8  # halvings of the identities that are averaged, so that no single one decides


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def includes_zero(self) -> bool:
        return self.low <= 0 <= self.high


@dataclass(frozen=True)
class Difference:
    """By how much one run, or one recipe, is better than another, in mAP as a share."""

    first: str
    second: str
    estimate: Estimate
    p_value: float
    """Two-sided; the level at which the interval would just touch zero."""
    p_adjusted: float
    """After Holm's correction over the comparisons asked for together."""
    level: str = CHECKPOINT
    """What it speaks of: `RECIPE` where both have several seeds, else `CHECKPOINT`, these very models."""
    num_seeds: tuple[int, int] = (1, 1)
    p_permutation: float | None = None
    """A second opinion without a distribution: seeds exchanged between recipes, or identities' signs between checkpoints."""
    effect_size: float | None = None
    """In standard deviations between seeds (recipe), or between identities (checkpoint)."""
    share_better: float | None = None
    """Of all pairs of seeds (recipe), or of all identities (checkpoint), the share in which the first is better."""
    seeds_needed: int | None = None
    """Seeds of each, about, that would show a difference of this size; None where unknown or where no number would."""

    @property
    def is_sure(self) -> bool:
        return self.p_adjusted <= 1 - LEVEL


@dataclass(frozen=True)
class ValidationCurve:
    """One run's average precision of every query after every validated epoch."""

    name: str
    epochs_E: IntArray
    average_precision_EQ: FloatArray
    person_ids_Q: IntArray
    asked: str = ""
    """Which queries these are, where their persons do not tell, such as "test"."""

    @property
    def best_row(self) -> int:
        """Row of the epoch with the highest mAP, the earliest of equals."""
        return int(np.argmax(np.nanmean(self.average_precision_EQ, axis=1)))

    @property
    def best_map(self) -> float:
        """The highest mAP of its epochs; a little optimistic, because the epoch was chosen on the same queries."""
        return float(np.nanmean(self.average_precision_EQ[self.best_row]))

    def until(self, epoch: int | None) -> ValidationCurve:
        """Return the curve up to `epoch`, with one epoch at least; the whole one for None."""
        if epoch is None:
            return self
        rows = max(1, int(np.count_nonzero(self.epochs_E <= epoch)))
        return replace(self, epochs_E=self.epochs_E[:rows], average_precision_EQ=self.average_precision_EQ[:rows])

    def asks_the_same(self, other: ValidationCurve) -> bool:
        """Return whether both were scored on the same queries, so that they can be paired."""
        return self.asked == other.asked and np.array_equal(self.person_ids_Q, other.person_ids_Q)


def honest_values(curve: ValidationCurve, *, seed: int = 0) -> FloatArray:
    """Return each query's average precision at epochs chosen without that query's half of the identities.

    Else the best of many noisy epochs flatters. Halves are drawn several times and averaged; they depend on the identities and
    the seed only, so all runs share them.

    Returns:
        Shape (Q,).
    """
    persons, identity_of_query_Q = np.unique(curve.person_ids_Q, return_inverse=True)
    if len(persons) < 2 or len(curve.epochs_E) == 1:
        return curve.average_precision_EQ[curve.best_row].copy()
    rng = np.random.default_rng(stream_seed(seed, "halves of the identities"))
    total_Q = np.zeros(len(curve.person_ids_Q))
    for _ in range(_SPLITS):
        in_first_I = np.zeros(len(persons), dtype=bool)
        in_first_I[rng.permutation(len(persons))[: len(persons) // 2]] = True
        in_first_Q = in_first_I[identity_of_query_Q]
        for chosen_on_Q in (in_first_Q, ~in_first_Q):
            row = int(np.argmax(curve.average_precision_EQ[:, chosen_on_Q].mean(axis=1)))
            total_Q[~chosen_on_Q] += curve.average_precision_EQ[row, ~chosen_on_Q]
    return total_Q / _SPLITS


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979), in their order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, largest = [1.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted
