"""From the validation curves of several runs to the one to take, and how sure that is. What it says in words: the report layer.

Runs of one recipe that differ in their seed speak for the recipe. One run a recipe supports "this checkpoint is better than that
one", never "this recipe is better": the seed's part is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from unplateau.selection.compare import compare
from unplateau.selection.crossed import Panel
from unplateau.selection.statistics import (
    CHECKPOINT,
    RECIPE,
    Difference,
    Estimate,
    FloatArray,
    ValidationCurve,
    honest_values,
)

MATTERS = 0.01
"""A difference in mAP below one point rarely changes what anyone does; runs that surely differ by less are a tie."""
CLEAR, TIE, NOT_ENOUGH, NONE_TRAINED = "clear winner", "tie", "not enough evidence", "none trained"
AHEAD = "ahead of runs that were dropped"
"""Surely ahead of every other one, of some only up to the epoch where halving dropped them: they might have come nearer."""


@dataclass(frozen=True)
class SeedRun:
    """One run of a recipe, at its best epoch."""

    name: str
    epoch: int
    best_map: float


@dataclass(frozen=True)
class Ranked:
    """One recipe in the order of its best held-out mAP, the mean over its runs; often it has one run."""

    name: str
    epoch: int
    """Of its best run, as is `best_map`."""
    best_map: Estimate
    """At its best epoch, on all held-out identities: a little optimistic, because the epoch was chosen on them."""
    behind_winner: Difference | None = None
    """Winner minus this one, epochs chosen on other identities; None for the winner, and where queries differ."""
    over_control: Difference | None = None
    """This one minus the control, likewise."""
    runs: tuple[SeedRun, ...] = ()
    """Of all its seeds, the best first."""
    mean: Estimate | None = None
    """Over its seeds, epochs chosen on other identities: what a new run on new identities can be expected to reach."""
    is_candidate: bool = True
    """False where it was only looked at before the candidates were trained with fresh seeds."""

    @property
    def best_run(self) -> str:
        """The run whose model to use."""
        return self.runs[0].name if self.runs else self.name

    @property
    def score(self) -> float:
        """Mean over its runs of the best mAP."""
        return sum(run.best_map for run in self.runs) / len(self.runs) if self.runs else self.best_map.value


@dataclass(frozen=True)
class Selection:
    """The run to take, and what speaks for it."""

    verdict: str
    """`CLEAR`, `AHEAD`, `TIE`, `NOT_ENOUGH` or `NONE_TRAINED`."""
    ranked: tuple[Ranked, ...] = ()
    """The winner first."""
    control: str | None = None
    num_identities: int = 0
    num_queries: int = 0
    not_comparable: tuple[str, ...] = ()
    """Runs that were scored on other queries than the winner."""
    level: str = CHECKPOINT
    """What the verdict speaks of: `RECIPE` where all that is compared has several seeds."""

    @property
    def winner(self) -> Ranked | None:
        return self.ranked[0] if self.ranked else None

    @property
    def rivals(self) -> tuple[Ranked, ...]:
        """What was compared with the winner, the best first."""
        return tuple(one for one in self.ranked[1:] if one.behind_winner is not None)

    @property
    def undecided(self) -> tuple[Ranked, ...]:
        """Those that cannot be told apart from the winner."""
        return tuple(one for one in self.rivals if one.behind_winner is not None and not _is_behind(one.behind_winner))

    def named(self, name: str) -> Ranked | None:
        """Return one by its name, or by the name of one of its runs; None where it was not scored."""
        return next((one for one in self.ranked if name == one.name or name in [run.name for run in one.runs]), None)


@dataclass(frozen=True)
class _Group:
    """One recipe and its runs, the best first."""

    name: str
    curves: tuple[ValidationCurve, ...]

    @property
    def score(self) -> float:
        return float(np.mean([curve.best_map for curve in self.curves]))


def select(
    curves: Sequence[ValidationCurve],
    *,
    control: str | None = None,
    recipes: Mapping[str, str] | None = None,
    candidates: Sequence[str] | None = None,
    dropped: Mapping[str, int] | None = None,
    seed: int = 0,
) -> Selection:
    """Return the recipe with the highest held-out mAP, its best run, and whether that is sure.

    Args:
        curves: of the runs that were validated at least once, in any order.
        control: name of the unchanged recipe, where there is one.
        recipes: by run, the recipe it is a seed of; a run that is not named here is a recipe of its own.
        candidates: recipes that were trained with fresh seeds to decide between them; the others are listed and not compared.
        dropped: recipes that were dropped before their end, and after which epoch. They are compared with others as both were at
            that epoch, for a run that trained longer is better by that alone.
        seed: of the resampling.
    """
    if not curves:
        return Selection(NONE_TRAINED, control=control)
    names = recipes or {}
    again = [curve for curve in curves if candidates is not None and names.get(curve.name, curve.name) in candidates]
    asked = _asked_most(again or curves)
    groups = _grouped(_on_common_queries([curve for curve in curves if curve.asks_the_same(asked)]), names)
    chosen = [group for group in groups if not again or group.name in (candidates or ())]
    others = [_Group(curve.name, (curve,)) for curve in curves if not curve.asks_the_same(asked)]
    left_out = [group for group in groups if group.name not in [one.name for one in chosen]]
    listed = [replace(_ranked(group, seed), is_candidate=not again) for group in (*left_out, *others)]
    compared = _compared(chosen, control, dropped or {}, seed)
    persons_Q = chosen[0].curves[0].person_ids_Q
    return Selection(
        _verdict(compared, dropped or {}), (*compared, *listed), control, Panel(persons_Q).num_identities, len(persons_Q),
        tuple(group.name for group in others), _level(compared),
    )  # fmt: skip


def _asked_most(curves: Sequence[ValidationCurve]) -> ValidationCurve:
    """A run that was scored on the set of queries that most runs share, of equal sets the one where the best run is."""
    return max(curves, key=lambda one: (sum(curve.asks_the_same(one) for curve in curves), one.best_map))


def _grouped(curves: Sequence[ValidationCurve], recipes: Mapping[str, str]) -> list[_Group]:
    """Recipes, the best first; their runs, the best first. Equal ones go by name."""
    names = dict.fromkeys(recipes.get(curve.name, curve.name) for curve in curves)
    ordered = sorted(curves, key=lambda curve: (-curve.best_map, curve.name))
    groups = [_Group(name, tuple(curve for curve in ordered if recipes.get(curve.name, curve.name) == name)) for name in names]
    return sorted(groups, key=lambda group: (-group.score, group.name))


def _on_common_queries(curves: Sequence[ValidationCurve]) -> list[ValidationCurve]:
    """Leave out queries that have no match, and so no average precision, in some run."""
    valid_Q = np.all([np.isfinite(curve.average_precision_EQ).all(axis=0) for curve in curves], axis=0)
    return [
        replace(curve, average_precision_EQ=curve.average_precision_EQ[:, valid_Q], person_ids_Q=curve.person_ids_Q[valid_Q])
        for curve in curves
    ]


def _ranked(group: _Group, seed: int) -> Ranked:
    curves = _on_common_queries(group.curves)
    best, panel = curves[0], Panel(curves[0].person_ids_Q)
    runs = tuple(SeedRun(curve.name, int(curve.epochs_E[curve.best_row]), curve.best_map) for curve in group.curves)
    at_best = panel.mean(best.average_precision_EQ[[best.best_row]]).estimate()
    has_seeds = len(group.curves) > 1
    mean = panel.mean(_values(group, seed)).estimate() if has_seeds else None
    return Ranked(group.name, runs[0].epoch, at_best, runs=runs, mean=mean)


def _values(group: _Group, seed: int, until: int | None = None) -> FloatArray:
    return np.stack([honest_values(curve.until(until), seed=seed) for curve in group.curves])


def _compared(groups: Sequence[_Group], control: str | None, dropped: Mapping[str, int], seed: int) -> list[Ranked]:
    """Two families of comparisons, each corrected: the winner with every other, every solution with the control."""
    names = [group.name for group in groups]
    solutions = [name for name in names if name != control] if control in names else []
    behind = _differences(groups, [(names[0], name) for name in names[1:]], dropped, seed)
    over = _differences(groups, [(name, str(control)) for name in solutions], dropped, seed)
    by_second, by_first = {one.second: one for one in behind}, {one.first: one for one in over}
    return [
        replace(_ranked(group, seed), behind_winner=by_second.get(group.name), over_control=by_first.get(group.name))
        for group in groups
    ]


def compare_until(
    curves: Sequence[ValidationCurve], pairs: Sequence[tuple[str, str]], dropped: Mapping[str, int], *, seed: int = 0
) -> tuple[Difference, ...]:
    """Return the differences of pairs of runs, corrected together; each up to the epoch at which the first of it was dropped."""
    return _differences([_Group(curve.name, (curve,)) for curve in _on_common_queries(curves)], pairs, dropped, seed)


def _differences(
    groups: Sequence[_Group], pairs: Sequence[tuple[str, str]], dropped: Mapping[str, int], seed: int
) -> tuple[Difference, ...]:
    by_name = {group.name: group for group in groups}
    values: dict[str, FloatArray] = {}
    keys = []
    for first, second in pairs:
        until = min((dropped[name] for name in (first, second) if name in dropped), default=None)
        first_key, second_key = (name if until is None else f"{name} until {until}" for name in (first, second))
        for name, key in ((first, first_key), (second, second_key)):
            if key not in values:
                values[key] = _values(by_name[name], seed, until)
        keys.append((first_key, second_key))
    found = compare(values, groups[0].curves[0].person_ids_Q, keys, seed=seed)
    return tuple(replace(one, first=pair[0], second=pair[1]) for one, pair in zip(found, pairs, strict=True))


def _level(ranked: Sequence[Ranked]) -> str:
    differences = [one.behind_winner for one in ranked if one.behind_winner is not None]
    return RECIPE if differences and all(one.level == RECIPE for one in differences) else CHECKPOINT


def _verdict(ranked: Sequence[Ranked], dropped: Mapping[str, int]) -> str:
    differences = [one.behind_winner for one in ranked if one.behind_winner is not None]
    undecided = [difference for difference in differences if not _is_behind(difference)]
    if not differences:
        return NOT_ENOUGH
    if not undecided:
        return AHEAD if any(one.name in dropped for one in ranked[1:]) else CLEAR
    is_close = all(max(-one.estimate.low, one.estimate.high) <= MATTERS for one in undecided)
    return TIE if is_close else NOT_ENOUGH


def _is_behind(difference: Difference) -> bool:
    return difference.is_sure and difference.estimate.value > 0
