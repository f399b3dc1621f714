"""How sure a mean of average precision, or a difference of two, is: identities and seeds are both samples, and they are crossed.

Every seed of every recipe is scored on the same identities, so an identity that happens to be easy is easy for all of them at
once. The variance of a difference therefore has two parts that are estimated apart: one from drawing other identities (of the
per-identity differences, seeds averaged), one from drawing other seeds (of the seeds' mAPs). What seeds and identities do
together is contained in both and taken out of one. Few seeds make the second part uncertain; each part keeps its own Student's t,
and half-widths add as squares (Howe 1974, "Approximate confidence limits on the mean of X + Y where X and Y are two tabled
independent random variables"). Satterthwaite's pooled degrees of freedom cover too little here when one recipe is noisier.

The identities' part is that of a cluster-robust mean: residuals are enlarged by what each identity's own weight hides (Bell and
McCaffrey 2002), and many queries of few persons cost degrees of freedom.

Legend: Q queries, I identities, S seeds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from unplateau.curves.student import t_beyond, t_two_sided
from unplateau.selection.statistics import LEVEL, Estimate, FloatArray, IntArray

FEWEST_IDENTITIES = 6  # below, an estimated variance says next to nothing
_LEAST_P = 1e-12
_CLOSE_ENOUGH = 1.0001


@dataclass(frozen=True)
class Uncertain:
    """A value, and the parts of its variance with their degrees of freedom."""

    value: float
    identities: float
    """Variance from the draw of identities, less what belongs to the seeds."""
    identities_freedom: float
    seeds: float = 0.0
    """Variance from the draw of seeds; 0 where checkpoints are taken as they are."""
    seeds_freedom: float = math.inf
    is_known: bool = True
    """False where there are too few identities or seeds to say anything."""

    @property
    def _freedoms(self) -> tuple[float, float]:
        return self.identities_freedom, self.seeds_freedom

    @property
    def deviation(self) -> float:
        """The standard error."""
        return math.sqrt(self.identities + self.seeds)

    def half_width(self, p_value: float = 1 - LEVEL) -> float:
        """Return half the width of the interval that leaves out a share `p_value`."""
        parts = zip((self.identities, self.seeds), self._freedoms, strict=True)
        return math.sqrt(sum(variance * t_beyond(p_value, freedom) ** 2 for variance, freedom in parts if variance > 0))

    def estimate(self) -> Estimate:
        """Return the value with its interval; without ends where nothing is known."""
        half = self.half_width() if self.is_known else math.inf
        return Estimate(self.value, self.value - half, self.value + half)

    def p_value(self) -> float:
        """Return the two-sided level at which the interval would just touch zero; 1 for no difference."""
        if not self.is_known or self.value == 0:
            return 1.0
        if self.identities <= 0 or self.seeds <= 0:
            freedom = self._freedoms[0 if self.seeds <= 0 else 1]
            return t_two_sided(self.value / self.deviation, freedom) if self.deviation > 0 else 0.0
        return self._p_between(*sorted(t_two_sided(self.value / self.deviation, freedom) for freedom in self._freedoms))

    def _p_between(self, low: float, high: float) -> float:
        """Halve the bracket on the scale of logarithms; the truth is between what the two degrees of freedom would give alone."""
        while high > low * _CLOSE_ENOUGH:
            middle = math.sqrt(max(low, _LEAST_P) * high)
            low, high = (middle, high) if self.half_width(middle) > abs(self.value) else (low, middle)
            if high <= _LEAST_P:
                break
        return high


class Panel:
    """The identities of one set of queries, shared by all that is compared on them."""

    def __init__(self, person_ids_Q: IntArray) -> None:
        persons, self._identity_of_query_Q = np.unique(person_ids_Q, return_inverse=True)
        self.num_identities = len(persons)
        self._queries_I = np.bincount(self._identity_of_query_Q, minlength=self.num_identities).astype(float)
        self.shares_I: FloatArray = self._queries_I / self._queries_I.sum()

    def by_identity(self, values_SQ: FloatArray) -> FloatArray:
        """Return the mean over each identity's queries, (S, I)."""
        sums = [np.bincount(self._identity_of_query_Q, weights=row_Q, minlength=self.num_identities) for row_Q in values_SQ]
        return np.stack(sums) / self._queries_I

    def mean(self, values_SQ: FloatArray) -> Uncertain:
        """Return the mAP of a recipe from the average precision of each of its seeds, or of a checkpoint (one row)."""
        return self._uncertain([self.by_identity(values_SQ)])

    def difference(self, first_SQ: FloatArray, second_SQ: FloatArray) -> Uncertain:
        """Return first minus second; of recipes where both have several rows, else of the rows as they are, averaged."""
        pair = [self.by_identity(values_SQ) for values_SQ in (first_SQ, second_SQ)]
        if min(len(values_SI) for values_SI in pair) < 2:
            pair = [values_SI.mean(axis=0, keepdims=True) for values_SI in pair]
        return self._uncertain(pair)

    def _uncertain(self, groups: list[FloatArray]) -> Uncertain:
        """One group of seeds, or two of which the second is taken away."""
        means_I = [values_SI.mean(axis=0) for values_SI in groups]
        of_identity_I = means_I[0] if len(groups) == 1 else means_I[0] - means_I[1]
        value = float(self.shares_I @ of_identity_I)
        has_seeds = len(groups[0]) > 1
        seeds = [_variance_of_mean(values_SI @ self.shares_I) for values_SI in groups] if has_seeds else [0.0]
        seeds_freedom = _welch([len(values_SI) for values_SI in groups], seeds) if has_seeds else math.inf
        if self.num_identities == 1:  # only the mean is known, or one person: the identities are taken as they are
            has_spread = sum(seeds) > 0  # seeds that agree to the last digit were rounded: they say nothing of their noise
            return Uncertain(value, 0.0, math.inf, sum(seeds), seeds_freedom, is_known=has_spread)
        together = sum(self._together(values_SI) for values_SI in groups) if has_seeds else 0.0
        identities = max(self._spread((of_identity_I - value) ** 2) - together, 0.0)
        is_known = self.num_identities >= FEWEST_IDENTITIES
        return Uncertain(value, identities, self._freedom(), sum(seeds), seeds_freedom, is_known=is_known)

    def _spread(self, squares_I: FloatArray) -> float:
        """Variance of a weighted mean over identities from its squared residuals."""
        return float(np.sum(self.shares_I**2 * squares_I / (1 - self.shares_I)))

    def _together(self, values_SI: FloatArray) -> float:
        """What seeds and identities do together: the variance of the mean over seeds that seeds bring to each identity."""
        count = len(values_SI)
        of_seed_S1 = (values_SI @ self.shares_I)[:, None]
        rest_SI = values_SI - values_SI.mean(axis=0) - of_seed_S1 + of_seed_S1.mean()
        return self._spread(np.sum(rest_SI**2, axis=0) / (count * (count - 1)))

    def _freedom(self) -> float:
        """Degrees of freedom of the identities' part: fewer where a few persons have most of the queries."""
        return max(1.0, float(np.sum(self.shares_I**2) ** 2 / np.sum(self.shares_I**4)) - 1)


def _variance_of_mean(values_S: FloatArray) -> float:
    return float(np.var(values_S, ddof=1)) / len(values_S)


def _welch(counts: list[int], variances: list[float]) -> float:
    """Degrees of freedom of a sum of variances of means (Welch 1947)."""
    if sum(variances) == 0:
        return float(sum(count - 1 for count in counts))
    parts = sum(variance**2 / (count - 1) for count, variance in zip(counts, variances, strict=True))
    return sum(variances) ** 2 / parts
