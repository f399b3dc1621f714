"""Paired comparison of runs by the average precision of the same queries, with identities as the unit that is drawn.

Queries of one person are not independent, so identities are resampled, all queries of a person together (cluster bootstrap:
Davison and Hinkley 1997, section 3.8), once a replicate and the same for all runs. The epoch of a run is chosen on one half of
the identities and scored on the other half, else the best of many noisy epochs flatters. Which run to take: `select`.

Legend: E epochs, Q queries, I identities, R replicates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from unplateau.base.randomness import stream_seed
from unplateau.curves.student import t_quantile

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LEVEL = 0.95
_REPLICATES = 4000
_SPLITS = 8  # halvings of the identities that are averaged, so that no single one decides
_FEWEST_IDENTITIES = 6  # below, even the widened interval covers too little


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
    """By how much one run is better than another, in mAP as a share."""

    first: str
    second: str
    estimate: Estimate
    p_value: float
    """Two-sided; the level at which the interval would just touch zero."""
    p_adjusted: float
    """After Holm's correction over the comparisons asked for together."""

    @property
    def is_sure(self) -> bool:
        return self.p_adjusted <= 1 - LEVEL


@dataclass(frozen=True)
class ValidationCurve:
    """One run's average precision of every held-out query after every validated epoch."""

    name: str
    epochs_E: IntArray
    average_precision_EQ: FloatArray
    person_ids_Q: IntArray

    @property
    def best_row(self) -> int:
        """Row of the epoch with the highest mAP, the earliest of equals."""
        return int(np.argmax(np.nanmean(self.average_precision_EQ, axis=1)))

    def asks_the_same(self, other: ValidationCurve) -> bool:
        """Return whether both were scored on the same queries, so that they can be paired."""
        return np.array_equal(self.person_ids_Q, other.person_ids_Q)


class Resampling:
    """Replicates of the identities of one set of queries, shared by everything that is compared on them."""

    def __init__(self, person_ids_Q: IntArray, *, seed: int = 0, replicates: int = _REPLICATES) -> None:
        persons, self._identity_of_query_Q = np.unique(person_ids_Q, return_inverse=True)
        self.num_identities = len(persons)
        self._queries_I = np.bincount(self._identity_of_query_Q, minlength=self.num_identities).astype(float)
        rng = np.random.default_rng(stream_seed(seed, "identities drawn"))
        shares_I = np.full(self.num_identities, 1 / self.num_identities)
        self._weights_RI = rng.multinomial(self.num_identities, shares_I, size=replicates).astype(float)
        self._total_R = self._weights_RI @ self._queries_I
        self._widening = _widening(self.num_identities)

    def estimate(self, values_Q: FloatArray) -> Estimate:
        """Return the mean over queries with its interval."""
        value, replicates_R = self._replicates(values_Q)
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(replicates_R, [tail, 1 - tail])
        return Estimate(value, float(low), float(high))

    def p_value(self, values_Q: FloatArray) -> float:
        """Return the two-sided level at which the interval of the mean would just touch zero; 1 where all values are zero."""
        value, replicates_R = self._replicates(values_Q)
        if value == 0:
            return 1.0
        beyond = np.count_nonzero(replicates_R <= 0 if value > 0 else replicates_R >= 0)
        return min(1.0, 2 * (beyond + 1) / (len(replicates_R) + 1))

    def _replicates(self, values_Q: FloatArray) -> tuple[float, FloatArray]:
        """The mean, and its replicates widened for the small number of identities."""
        sums_I = np.bincount(self._identity_of_query_Q, weights=values_Q, minlength=self.num_identities)
        value = float(sums_I.sum() / self._queries_I.sum())
        replicates_R = self._weights_RI @ sums_I / self._total_R
        return value, value + self._widening * (replicates_R - value)


def compare(
    values: Mapping[str, FloatArray], person_ids_Q: IntArray, pairs: Sequence[tuple[str, str]], *, seed: int = 0
) -> tuple[Difference, ...]:
    """Return the differences of the pairs asked for, corrected together (Holm 1979).

    Args:
        values: by run, the average precision of each query, (Q,), at the epoch to compare.
        person_ids_Q: the person of each query.
        pairs: (first, second), as "first minus second".
        seed: of the replicates.
    """
    resampling = Resampling(person_ids_Q, seed=seed)
    apart = [values[first] - values[second] for first, second in pairs]
    p_values = [resampling.p_value(values_Q) if _is_enough(resampling) else 1.0 for values_Q in apart]
    estimates = [resampling.estimate(values_Q) if _is_enough(resampling) else _unknown(values_Q) for values_Q in apart]
    rows = zip(pairs, estimates, p_values, holm(p_values), strict=True)
    return tuple(Difference(*pair, estimate, p_value, adjusted) for pair, estimate, p_value, adjusted in rows)


def honest_values(curve: ValidationCurve, *, seed: int = 0) -> FloatArray:
    """Return each query's average precision at epochs chosen without that query's half of the identities.

    Halves are drawn several times and averaged; they depend on the identities and the seed only, so all runs share them.

    Returns:
        Shape (Q,).
    """
    persons, identity_of_query_Q = np.unique(curve.person_ids_Q, return_inverse=True)
    rng = np.random.default_rng(stream_seed(seed, "halves of the identities"))
    total_Q = np.zeros(len(curve.person_ids_Q))
    for _ in range(_SPLITS):
        in_first_I = np.zeros(len(persons), dtype=bool)
        in_first_I[rng.permutation(len(persons))[: len(persons) // 2]] = True
        in_first_Q = in_first_I[identity_of_query_Q]
        for chosen_on_Q in (in_first_Q, ~in_first_Q):
            if chosen_on_Q.any():
                row = int(np.argmax(curve.average_precision_EQ[:, chosen_on_Q].mean(axis=1)))
                total_Q[~chosen_on_Q] += curve.average_precision_EQ[row, ~chosen_on_Q]
    if len(persons) < 2:
        return curve.average_precision_EQ[curve.best_row].copy()
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


def _widening(num_identities: int) -> float:
    """What makes a percentile interval of few clusters as wide as Student's (Hesterberg 2015, section 5.2)."""
    if num_identities < 2:
        return math.inf
    upper = 1 - (1 - LEVEL) / 2
    return math.sqrt(num_identities / (num_identities - 1)) * t_quantile(upper, num_identities - 1) / NormalDist().inv_cdf(upper)


def _is_enough(resampling: Resampling) -> bool:
    return resampling.num_identities >= _FEWEST_IDENTITIES


def _unknown(values_Q: FloatArray) -> Estimate:
    return Estimate(float(values_Q.mean()), -math.inf, math.inf)
