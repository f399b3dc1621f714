"""Fewer epochs, mostly for the same winner: all runs train a slice, the better part goes on, the others stay where they are.

Successive halving (Jamieson and Talwalkar 2016, arXiv 1502.07943, algorithm 1) with three differences: a run that goes on is the
same run resumed, never begun anew; each keeps its own schedule, cut after a share of its own epochs; and the slices are few and
late, because rankings early in a step schedule say little (`docs/halving.md`). Pure functions of what the runs have scored, so
that nothing need be remembered: whoever is killed reads the folders and knows where the rounds stand. Who trains: `workflows`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unplateau.base.errors import UsageError


@dataclass(frozen=True)
class Cut:
    """After which share of their epochs the runs are compared, and which share of them goes on."""

    after: float
    """In (0, 1): share of a run's own epochs."""
    keep: float
    """In (0, 1): share of all runs that trained, rounded up to whole runs."""


Plan = tuple[Cut, ...]
PLANS: Mapping[str, Plan] = {
    "careful": (Cut(1 / 2, 1 / 2), Cut(5 / 6, 1 / 3)),
    "half": (Cut(1 / 5, 1 / 2), Cut(2 / 3, 1 / 6)),
    "third": (Cut(1 / 5, 1 / 3), Cut(2 / 5, 1 / 6)),
}
"""Plans by name; what each costs and keeps is measured in `benchmarks/results/halving.md`."""
DEFAULT_PLAN = "half"
MEASURED: Mapping[str, str] = {
    name: f"Where all were trained to the end too (sets of three to six recipes, ten seeds, a small Market-1501), this plan "
    f"lost {lost} points of test mAP on average; the 95 % bound of that is {bound} (docs/halving.md)."
    for name, lost, bound in (("careful", "0.02", "0.07"), ("half", "0.02", "0.14"), ("third", "0.56", "0.85"))
}
"""By plan: what it lost where all runs were trained to the end, in a sentence; from `benchmarks/results/halving.md`."""


@dataclass(frozen=True)
class Contender:
    """One run as the rounds see it."""

    name: str
    last_epoch: int
    """Where it ends by itself."""
    trained: int
    """Epochs it has trained."""
    maps: Mapping[int, float]
    """Held-out mAP by epoch, of the epochs that were validated."""
    is_over: bool = False
    """It ended for good (all epochs, patience, a failure): nothing more is trained, and it is compared by what it has."""
    validates_every: int = 1
    """A slice ends on an epoch that is validated anyway, so that the run stays the one it would have been."""

    def goal(self, share: float) -> int:
        """Return the epoch at which a slice up to `share` of its epochs ends."""
        wanted = max(1, math.ceil(share * self.last_epoch - 1e-9))
        return min(self.last_epoch, math.ceil(wanted / self.validates_every) * self.validates_every)

    def best_until(self, epoch: int) -> float:
        """Return the highest mAP up to `epoch`; minus infinity where nothing was validated."""
        return max((score for at, score in self.maps.items() if at <= epoch), default=-math.inf)


@dataclass(frozen=True)
class Placed:
    """A run at a cut."""

    name: str
    epoch: int
    """The epoch it was compared after; for a run that ended before the cut, its last."""
    best_map: float
    """The highest held-out mAP until then; minus infinity where it has none."""
    is_kept: bool


@dataclass(frozen=True)
class Round:
    """A decided round."""

    number: int
    """From 1."""
    cut: Cut
    placed: tuple[Placed, ...]
    """The best first."""

    @property
    def kept(self) -> tuple[Placed, ...]:
        return tuple(run for run in self.placed if run.is_kept)

    @property
    def dropped(self) -> tuple[Placed, ...]:
        return tuple(run for run in self.placed if not run.is_kept)


@dataclass(frozen=True)
class Standings:
    """Where the rounds stand, and what is to be trained now."""

    rounds: tuple[Round, ...]
    """Those that are decided."""
    num_rounds: int
    """Of the whole plan; the last one trains the rest and drops no one."""
    to_train: tuple[tuple[str, int], ...]
    """Runs that have not reached the end of the open slice, and the epoch where it ends for each; empty when all is done."""

    @property
    def open_round(self) -> int:
        """Number of the round that is being trained."""
        return min(len(self.rounds) + 1, self.num_rounds)

    @property
    def dropped(self) -> dict[str, int]:
        """Dropped runs and the epoch each was compared after."""
        return {run.name: run.epoch for done in self.rounds for run in done.dropped}


def standings(plan: Plan, contenders: Sequence[Contender]) -> Standings:
    """Return what the plan makes of the runs as they are now.

    >>> fast, slow = (Contender(name, 4, 2, {2: score}) for name, score in (("fast", 0.4), ("slow", 0.3)))
    >>> standings((Cut(0.5, 0.5),), [slow, fast]).to_train
    (('fast', 4),)
    """
    alive, rounds = list(contenders), list[Round]()
    usable = sum(bool(run.maps) or not run.is_over for run in contenders)
    for number, cut in enumerate(plan, 1):
        waiting = _waiting(alive, cut.after)
        if waiting:
            return Standings(tuple(rounds), len(plan) + 1, waiting)
        done = Round(number, cut, _placed(alive, cut, max(1, math.ceil(cut.keep * usable - 1e-9))))
        names = {run.name for run in done.kept}
        alive = [run for run in alive if run.name in names]
        rounds.append(done)
    return Standings(tuple(rounds), len(plan) + 1, _waiting(alive, 1.0))


def epochs_ahead(plan: Plan, contenders: Sequence[Contender]) -> int:
    """Return how many epochs the later rounds will train at most, after the open one. Of the runs that may go on, the longest."""
    now = standings(plan, contenders)
    alive = [run for run in contenders if run.name not in now.dropped]
    usable = len([run for run in contenders if run.maps or not run.is_over])
    shares = [*(cut.after for cut in plan), 1.0]
    total = 0
    for place in range(now.open_round, len(shares)):
        count = max(1, math.ceil(plan[place - 1].keep * usable - 1e-9))
        slices = sorted((run.goal(shares[place]) - run.goal(shares[place - 1]) for run in alive if not run.is_over), reverse=True)
        total += sum(slices[:count])
    return total


def read_plan(text: str) -> Plan:
    """Return the plan of a name, or of cuts written as "after:keep", such as "0.5:0.5,0.83:0.33".

    Raises:
        UsageError: it is neither.
    """
    if text in PLANS:
        return PLANS[text]
    try:
        cuts = tuple(Cut(*map(float, part.split(":"))) for part in text.split(","))
    except (ValueError, TypeError):
        cuts = ()
    shares = [cut.after for cut in cuts]
    if not cuts or shares != sorted(set(shares)) or not all(0 < share < 1 for cut in cuts for share in (cut.after, cut.keep)):
        raise UsageError(
            f"--halving-plan {text}: expected one of {', '.join(PLANS)}, or cuts in ascending order, each as "
            "SHARE_OF_EPOCHS:SHARE_OF_RUNS_KEPT between 0 and 1, such as 0.5:0.5,0.83:0.33."
        )
    return cuts


def _waiting(runs: Sequence[Contender], share: float) -> tuple[tuple[str, int], ...]:
    return tuple((run.name, run.goal(share)) for run in runs if not run.is_over and run.trained < run.goal(share))


def _placed(runs: Sequence[Contender], cut: Cut, count: int) -> tuple[Placed, ...]:
    """The order at a cut. Of equals the one that was listed first is kept; a run without a score never is."""
    at = {run.name: min(run.goal(cut.after), run.trained) for run in runs}
    ranked = sorted(runs, key=lambda run: -run.best_until(at[run.name]))
    scores = [run.best_until(at[run.name]) for run in ranked]
    rows = enumerate(zip(ranked, scores, strict=True))
    return tuple(Placed(run.name, at[run.name], score, place < count and score > -math.inf) for place, (run, score) in rows)
