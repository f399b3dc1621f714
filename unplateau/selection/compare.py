"""Pairs of runs or recipes on the same queries: the difference with its interval, a permutation test, the size of the effect.

Legend: Q queries, I identities, S seeds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unplateau.base.randomness import stream_seed
from unplateau.selection.crossed import Panel, Uncertain
from unplateau.selection.planning import seeds_needed
from unplateau.selection.statistics import CHECKPOINT, RECIPE, Difference, FloatArray, IntArray, holm

_MOST_EXCHANGES = 4000  # all of them for up to seven seeds each; more are drawn at random
_SIGNS_DRAWN = 4000
_ROUNDING = 1e-12


def compare(
    values: Mapping[str, FloatArray], person_ids_Q: IntArray, pairs: Sequence[tuple[str, str]], *, seed: int = 0
) -> tuple[Difference, ...]:
    """Return the differences of the pairs asked for, corrected together (Holm 1979).

    Args:
        values: by run, the average precision of each query at the epoch to compare, (Q,); by recipe, of each seed, (S, Q).
        person_ids_Q: the person of each query.
        pairs: (first, second), as "first minus second".
        seed: of the permutations that are drawn.
    """
    panel = Panel(person_ids_Q)
    made = [_Pair.of(panel, np.atleast_2d(values[first]), np.atleast_2d(values[second])) for first, second in pairs]
    p_values = [pair.apart.p_value() for pair in made]
    has_checkpoints = any(pair.level == CHECKPOINT for pair in made)
    signs_RI = drawn_signs(panel.num_identities, seed=seed) if has_checkpoints else np.zeros((0, panel.num_identities))
    rows = zip(pairs, made, p_values, holm(p_values), strict=True)
    return tuple(_difference(names, pair, p_value, adjusted, signs_RI) for names, pair, p_value, adjusted in rows)


@dataclass(frozen=True)
class _Pair:
    """Two things as they are compared."""

    panel: Panel
    first_SI: FloatArray
    second_SI: FloatArray
    apart: Uncertain

    @classmethod
    def of(cls, panel: Panel, first_SQ: FloatArray, second_SQ: FloatArray) -> _Pair:
        return cls(panel, panel.by_identity(first_SQ), panel.by_identity(second_SQ), panel.difference(first_SQ, second_SQ))

    @property
    def level(self) -> str:
        return RECIPE if min(len(self.first_SI), len(self.second_SI)) > 1 else CHECKPOINT

    @property
    def of_identities(self) -> FloatArray:
        return np.asarray(self.first_SI.mean(axis=0) - self.second_SI.mean(axis=0))

    @property
    def of_seeds(self) -> tuple[FloatArray, FloatArray]:
        """The mAP of each seed, of the first and of the second."""
        return self.first_SI @ self.panel.shares_I, self.second_SI @ self.panel.shares_I


def _difference(names: tuple[str, str], pair: _Pair, p_value: float, adjusted: float, signs_RI: FloatArray) -> Difference:
    counts = (len(pair.first_SI), len(pair.second_SI))
    is_recipe = pair.level == RECIPE
    first_S, second_S = pair.of_seeds
    contributions_I = pair.panel.shares_I * pair.of_identities
    return Difference(
        *names, pair.apart.estimate(), p_value, adjusted, pair.level, counts,
        p_permutation=exchange_seeds(first_S, second_S) if is_recipe else flip_signs(contributions_I, signs_RI),
        effect_size=_in_seed_deviations(first_S, second_S) if is_recipe else _in_identity_deviations(pair),
        share_better=_share(np.subtract.outer(first_S, second_S) if is_recipe else pair.of_identities),
        seeds_needed=seeds_needed(pair.apart, counts) if is_recipe else None,
    )  # fmt: skip


def exchange_seeds(first_S: FloatArray, second_S: FloatArray) -> float:
    """Return the two-sided p-value of exchanging seeds between two recipes: all exchanges, or many drawn at random.

    With three seeds each there are 20 exchanges, so it is never below 0.1; with four it can reach 0.03.

    >>> round(exchange_seeds(np.array([0.5, 0.6, 0.7]), np.array([0.1, 0.2, 0.3])), 3)
    0.1
    """
    pooled, count = np.concatenate([first_S, second_S]), len(first_S)
    if math.comb(len(pooled), count) <= _MOST_EXCHANGES:
        chosen = np.array(list(itertools.combinations(range(len(pooled)), count)))
    else:
        rng = np.random.default_rng(stream_seed(0, "seeds exchanged", len(pooled), count))
        drawn = rng.random((_MOST_EXCHANGES, len(pooled))).argsort(axis=1)[:, :count]
        chosen = np.vstack([np.arange(count), drawn])  # the first is the one that was seen
    sums = pooled[chosen].sum(axis=1)
    apart = np.abs(sums / count - (pooled.sum() - sums) / (len(pooled) - count))
    seen = abs(float(first_S.mean() - second_S.mean()))
    return float(np.mean(apart >= seen - _ROUNDING))


def drawn_signs(num_identities: int, *, seed: int = 0) -> FloatArray:
    """Return +1 and -1 at random, (R, I): in which identities two checkpoints are exchanged, replicate by replicate."""
    rng = np.random.default_rng(stream_seed(seed, "identities exchanged"))
    return np.asarray(2.0 * rng.integers(0, 2, size=(_SIGNS_DRAWN, num_identities)) - 1.0, dtype=np.float64)


def flip_signs(contributions_I: FloatArray, signs_RI: FloatArray) -> float:
    """Return the two-sided p-value of exchanging two checkpoints within identities; contributions add up to the difference."""
    seen = abs(float(contributions_I.sum()))
    beyond = np.count_nonzero(np.abs(signs_RI @ contributions_I) >= seen - _ROUNDING)
    return float((1 + beyond) / (1 + len(signs_RI)))


def _in_seed_deviations(first_S: FloatArray, second_S: FloatArray) -> float | None:
    deviation = math.sqrt((float(np.var(first_S, ddof=1)) + float(np.var(second_S, ddof=1))) / 2)
    return float(first_S.mean() - second_S.mean()) / deviation if deviation > 0 else None


def _in_identity_deviations(pair: _Pair) -> float | None:
    variance = float(pair.panel.shares_I @ (pair.of_identities - pair.apart.value) ** 2)
    return pair.apart.value / math.sqrt(variance) if variance > 0 else None


def _share(apart: FloatArray) -> float:
    """The share above zero; equal ones count half."""
    return float(np.mean(apart > 0) + np.mean(apart == 0) / 2)
