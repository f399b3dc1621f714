"""Policies that decide which of several runs are trained how far, replayed on recorded curves. Numpy only.

An `Experiment` is what someone would see who tries these runs: one curve each. A policy returns the epochs it trained of each run
and what else it spent; the model it ends with is the one of the highest held-out mAP it has seen, as the launcher does.

Legend: R runs, E epochs 0..15 of a run (epoch 0 is the untrained network).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from unplateau.selection.halving import Contender, Plan, standings

FULL = 90  # epochs of the stalled run, which the recorded ones are scaled from


@dataclass(frozen=True)
class Experiment:
    """Curves of several runs, in points of mAP."""

    names: tuple[str, ...]
    held_out_RE: np.ndarray
    test_RE: np.ndarray
    extra: dict[str, np.ndarray] = field(default_factory=dict)
    """Scores that are no part of the curves, (R,): forks, averages, short runs."""

    @property
    def last(self) -> int:
        return self.held_out_RE.shape[1] - 1

    def chosen(self, trained_R: np.ndarray) -> tuple[int, int]:
        """Return run and epoch of the highest held-out mAP among the epochs that were trained."""
        seen = np.arange(self.last + 1)[None] <= trained_R[:, None]
        run, epoch = np.unravel_index(np.argmax(np.where(seen, self.held_out_RE, -np.inf)), seen.shape)
        return int(run), int(epoch)


@dataclass(frozen=True)
class Spent:
    """What a policy trained."""

    trained_R: np.ndarray
    besides: float = 0.0
    """Epochs that brought no run further: forks, short runs."""

    @property
    def epochs(self) -> float:
        return float(self.trained_R.sum()) + self.besides


Policy = Callable[[Experiment], Spent]
Rule = Callable[[np.ndarray, int], np.ndarray]
"""From held-out curves (R, E) and an epoch to what the runs are ranked by, (R,)."""


def best_so_far(held_out_RE: np.ndarray, epoch: int) -> np.ndarray:
    return held_out_RE[:, 1 : epoch + 1].max(1)


def last_score(held_out_RE: np.ndarray, epoch: int) -> np.ndarray:
    return held_out_RE[:, epoch]


def mean_of_two(held_out_RE: np.ndarray, epoch: int) -> np.ndarray:
    return held_out_RE[:, max(1, epoch - 1) : epoch + 1].mean(1)


def run_all(seen: Experiment) -> Spent:
    return Spent(np.full(len(seen.names), seen.last))


def halving(plan: Plan) -> Policy:
    """The product's own rounds, executed on the curves."""

    def policy(seen: Experiment) -> Spent:
        trained = dict.fromkeys(seen.names, 0)
        while True:
            now = standings(plan, [_contender(seen, row, trained[name]) for row, name in enumerate(seen.names)])
            if not now.to_train:
                return Spent(np.array([trained[name] for name in seen.names]))
            trained |= dict(now.to_train)

    return policy


def _contender(seen: Experiment, row: int, trained: int) -> Contender:
    maps = {epoch: float(seen.held_out_RE[row, epoch]) for epoch in range(1, trained + 1)}
    return Contender(seen.names[row], seen.last, trained, maps, is_over=trained == seen.last)


def halving_by(plan: Plan, rule: Rule) -> Policy:
    """The same rounds, ranked by another rule; with `best_so_far` it must agree with `halving`."""

    def policy(seen: Experiment) -> Spent:
        trained_R, alive = np.zeros(len(seen.names), dtype=int), np.arange(len(seen.names))
        for cut in plan:
            epoch = math.ceil(cut.after * seen.last - 1e-9)
            trained_R[alive] = epoch
            order = np.argsort(-rule(seen.held_out_RE, epoch)[alive], kind="stable")
            alive = np.sort(alive[order[: max(1, math.ceil(cut.keep * len(seen.names) - 1e-9))]])
        trained_R[alive] = seen.last
        return Spent(trained_R)

    return policy


def racing(margin: float, start: int) -> Policy:
    """From epoch `start` on, drop after every epoch whoever is more than `margin` points behind the best."""

    def policy(seen: Experiment) -> Spent:
        trained_R, alive_R = np.full(len(seen.names), start), np.ones(len(seen.names), dtype=bool)
        for epoch in range(start, seen.last + 1):
            trained_R[alive_R] = epoch
            scores = best_so_far(seen.held_out_RE, epoch)
            alive_R &= scores >= scores[alive_R].max() - margin
        return Spent(trained_R)

    return policy


def by_extra(name: str, *, at: int, costs: int, keep: float) -> Policy:
    """Train all to epoch `at`, rank them by the score called `name`, which cost `costs` epochs a run, and train the best on."""

    def policy(seen: Experiment) -> Spent:
        order = np.argsort(-seen.extra[name], kind="stable")
        trained_R = np.full(len(seen.names), at)
        trained_R[order[: max(1, math.ceil(keep * len(seen.names) - 1e-9))]] = seen.last
        return Spent(trained_R, besides=float(costs * len(seen.names)))

    return policy


# Schedules of the recipes: peak rate, milestones of 90 epochs (none: cosine). As in benchmarks/protocol/record_curves.py.
SCHEDULES: dict[str, tuple[float, tuple[int, ...]]] = {
    "solution_0_control": (3.5e-4, (40, 70)),
    "solution_1_higher_lr": (7e-4, (40, 70)),
    "solution_2_cosine_annealing": (3.5e-4, ()),
    "solution_3_heavy_triplet": (3.5e-4, (40, 70)),
    "solution_4_aggressive_lr_drop": (1e-3, (20, 50)),
    "solution_5_smaller_batch_higher_lr": (1e-3, (40, 70)),
}


def share_of_rate(name: str, share: float) -> float:
    """Return the rate after `share` of a run, relative to its peak."""
    milestones = SCHEDULES[name][1]
    if not milestones:
        return 0.5 * (1 + math.cos(math.pi * share))
    return 0.1 ** sum(share * FULL >= milestone for milestone in milestones)


def schedule_features(name: str, epoch: int, last: int) -> list[float]:
    """What a curve model may know of the epochs to come: share left, and how much of the area under the rate is left."""
    grid = np.linspace(0, 1, 181)
    rates = np.array([share_of_rate(name, share) for share in grid])
    left = float(rates[grid >= epoch / last].sum() / rates.sum())
    return [1 - epoch / last, left, share_of_rate(name, epoch / last)]
