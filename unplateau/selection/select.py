"""From the validation curves of several runs to the one to take, and how sure that is. What it says in words: the report layer.

One run a recipe supports "this checkpoint is better than that one", never "this recipe is better": the seed's part is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from unplateau.selection.statistics import (
    Difference,
    Estimate,
    FloatArray,
    Resampling,
    ValidationCurve,
    compare,
    honest_values,
)

MATTERS = 0.01
"""A difference in mAP below one point rarely changes what anyone does; runs that surely differ by less are a tie."""
CLEAR, TIE, NOT_ENOUGH, NONE_TRAINED = "clear winner", "tie", "not enough evidence", "none trained"


@dataclass(frozen=True)
class Ranked:
    """One run in the order of its best held-out mAP."""

    name: str
    epoch: int
    best_map: Estimate
    """At its best epoch, on all held-out identities: a little optimistic, because the epoch was chosen on them."""
    behind_winner: Difference | None = None
    """Winner minus this run, epochs chosen on other identities; None for the winner, and where queries differ."""
    over_control: Difference | None = None
    """This run minus the control, likewise."""


@dataclass(frozen=True)
class Selection:
    """The run to take, and what speaks for it."""

    verdict: str
    """`CLEAR`, `TIE`, `NOT_ENOUGH` or `NONE_TRAINED`."""
    ranked: tuple[Ranked, ...] = ()
    """The winner first."""
    control: str | None = None
    num_identities: int = 0
    num_queries: int = 0
    not_comparable: tuple[str, ...] = ()
    """Runs that were scored on other queries than the winner."""

    @property
    def winner(self) -> Ranked | None:
        return self.ranked[0] if self.ranked else None

    @property
    def undecided(self) -> tuple[Ranked, ...]:
        """Runs that cannot be told apart from the winner."""
        return tuple(run for run in self.ranked[1:] if run.behind_winner is not None and not _is_behind(run.behind_winner))

    def named(self, name: str) -> Ranked | None:
        """Return one run, or None where it was not scored."""
        return next((run for run in self.ranked if run.name == name), None)


def select(curves: Sequence[ValidationCurve], *, control: str | None = None, seed: int = 0) -> Selection:
    """Return the run with the highest held-out mAP and whether that is sure.

    Args:
        curves: of the runs that were validated at least once, in any order.
        control: name of the unchanged run, where there is one.
        seed: of the resampling.
    """
    if not curves:
        return Selection(NONE_TRAINED, control=control)
    first = max(curves, key=lambda curve: float(np.nanmean(curve.average_precision_EQ[curve.best_row])))
    same = _on_common_queries([curve for curve in curves if curve.asks_the_same(first)])
    other = [curve.name for curve in curves if not curve.asks_the_same(first)]
    resampling = Resampling(same[0].person_ids_Q, seed=seed)
    ranked = sorted((_ranked(curve, resampling) for curve in same), key=lambda run: -run.best_map.value)
    compared = _compared(ranked, same, control, seed)
    strangers = tuple(_ranked(curve, Resampling(curve.person_ids_Q, seed=seed)) for curve in curves if curve.name in other)
    return Selection(
        _verdict(compared, resampling.num_identities), (*compared, *strangers), control,
        resampling.num_identities, len(same[0].person_ids_Q), tuple(other),
    )  # fmt: skip


def _on_common_queries(curves: Sequence[ValidationCurve]) -> list[ValidationCurve]:
    """Leave out queries that have no match, and so no average precision, in some run."""
    valid_Q = np.all([np.isfinite(curve.average_precision_EQ).all(axis=0) for curve in curves], axis=0)
    return [
        replace(curve, average_precision_EQ=curve.average_precision_EQ[:, valid_Q], person_ids_Q=curve.person_ids_Q[valid_Q])
        for curve in curves
    ]


def _ranked(curve: ValidationCurve, resampling: Resampling) -> Ranked:
    row = curve.best_row
    return Ranked(curve.name, int(curve.epochs_E[row]), resampling.estimate(curve.average_precision_EQ[row]))


def _compared(ranked: Sequence[Ranked], curves: Sequence[ValidationCurve], control: str | None, seed: int) -> list[Ranked]:
    """Two families of comparisons, each corrected: the winner with every other run, every solution with the control."""
    values: Mapping[str, FloatArray] = {curve.name: honest_values(curve, seed=seed) for curve in curves}
    persons_Q, winner = curves[0].person_ids_Q, ranked[0].name
    behind = compare(values, persons_Q, [(winner, run.name) for run in ranked[1:]], seed=seed)
    solutions = [run.name for run in ranked if run.name != control] if control in values else []
    over = compare(values, persons_Q, [(name, str(control)) for name in solutions], seed=seed)
    by_second, by_first = {one.second: one for one in behind}, {one.first: one for one in over}
    return [replace(run, behind_winner=by_second.get(run.name), over_control=by_first.get(run.name)) for run in ranked]


def _verdict(ranked: Sequence[Ranked], num_identities: int) -> str:
    differences = [run.behind_winner for run in ranked if run.behind_winner is not None]
    undecided = [difference for difference in differences if not _is_behind(difference)]
    if not differences or num_identities < 2:
        return NOT_ENOUGH
    if not undecided:
        return CLEAR
    is_close = all(max(-one.estimate.low, one.estimate.high) <= MATTERS for one in undecided)
    return TIE if is_close else NOT_ENOUGH


def _is_behind(difference: Difference) -> bool:
    return difference.is_sure and difference.estimate.value > 0
