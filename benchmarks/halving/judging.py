"""Judges ways to spend fewer epochs on the recorded curves. What is printed of it: `replay.py`.

An experiment is what one user would do: some of the recipes, the control among them, one run each. Regret is the test mAP of the
model that running all would have chosen minus that of the model the policy chose, both chosen by held-out mAP. "Matched": all
runs of an experiment have one seed, as the launcher does it; every set of the control with two to five solutions. "Mixed": each
run with a seed of its own. "Chosen without the seed": the best plan of a family, at most half the epochs, is chosen on the other
seeds and judged on this one, so that what was chosen on these curves is not also praised on them.
Bounds: one-sided 95 %, seeds and sets of recipes drawn with replacement, widened for the number of seeds by sqrt(n / (n - 1)).
"""

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "protocol"))
from policies import (
    Experiment,
    Policy,
    Spent,
    best_so_far,
    halving,
    halving_by,
    run_all,
    schedule_features,
)
from summarise import read_curves

from unplateau.selection.halving import Cut, Plan

CONTROL = "solution_0_control"
REPLICATES, MIXED_DRAWS = 2000, 200


@dataclass(frozen=True)
class Recorded:
    """All curves in points: (recipes, seeds, epochs)."""

    recipes: tuple[str, ...]
    seeds: tuple[int, ...]
    held_out_RSE: np.ndarray
    test_RSE: np.ndarray

    def experiment(self, rows: Sequence[int], seeds: Sequence[int]) -> Experiment:
        """Return the experiment of these recipes, each with its seed (by position)."""
        at = (list(rows), list(seeds))
        return Experiment(tuple(self.recipes[row] for row in rows), self.held_out_RSE[at], self.test_RSE[at])


def load(folder: Path, identities: int) -> Recorded:
    """Read the curves of the seeds for which every recipe is there."""
    curves = read_curves(folder)
    recipes = tuple(sorted({recipe for recipe, _ in curves}))
    seeds = tuple(sorted(s for s in {s for _, s in curves} if all((recipe, s) in curves for recipe in recipes)))
    keys = (f"held_out_{identities}_map", "test_map")
    values = [[[[100 * epoch[key] for epoch in curves[r, s]] for s in seeds] for r in recipes] for key in keys]
    return Recorded(recipes, seeds, *map(np.array, values))


def sets_of(recipes: Sequence[str], smallest: int = 3) -> list[tuple[int, ...]]:
    """Return the sets of recipes with the control, as rows."""
    control = recipes.index(CONTROL)
    others = [row for row in range(len(recipes)) if row != control]
    sizes = range(smallest - 1, len(others) + 1)
    return [(control, *chosen) for size in sizes for chosen in itertools.combinations(others, size)]


@dataclass(frozen=True)
class Result:
    """A policy on one experiment."""

    regret: float
    share: float
    is_true_best: bool
    is_same_run: bool


def judge(policy: Policy, seen: Experiment) -> Result:
    """Return what the policy loses against running all, in points of test mAP, and the share of the epochs it trains."""
    spent: Spent = policy(seen)
    everything = run_all(seen)
    run, epoch = seen.chosen(spent.trained_R)
    all_run, all_epoch = seen.chosen(everything.trained_R)
    finals = [seen.test_RE[row, 1 + int(np.argmax(seen.held_out_RE[row, 1:]))] for row in range(len(seen.names))]
    regret = float(seen.test_RE[all_run, all_epoch] - seen.test_RE[run, epoch])
    return Result(regret, spent.epochs / everything.epochs, run == int(np.argmax(finals)), run == all_run)


def upper_bound(regret_SK: np.ndarray, *, seed: int = 0) -> float:
    """Return the bound for the mean of a table of seeds by sets of recipes."""
    rng, (seeds, sets) = np.random.default_rng(seed), regret_SK.shape
    draws_S, draws_K = (rng.multinomial(n, np.full(n, 1 / n), REPLICATES) / n for n in (seeds, sets))
    means = np.einsum("bs,sk,bk->b", draws_S, regret_SK, draws_K)
    mean = regret_SK.mean()
    widening = np.sqrt(seeds / (seeds - 1)) if seeds > 1 else np.inf
    return float(np.quantile(mean + widening * (means - mean), 0.95))


def matched(policy: Policy, data: Recorded, seeds: Sequence[int], sets: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Return an array of (regret, share, true best, same run) for each seed and set: (S, K, 4)."""
    rows = [[judge(policy, data.experiment(rows, [s] * len(rows))) for rows in sets] for s in seeds]
    return np.array([[[r.regret, r.share, r.is_true_best, r.is_same_run] for r in line] for line in rows], dtype=float)


def mixed(policy: Policy, data: Recorded, seeds: Sequence[int], sets: Sequence[tuple[int, ...]]) -> tuple[np.ndarray, float]:
    """Return means of the four, and the bound, over random sets and a random seed for each run.

    The bound draws the seeds of each recipe anew: a draw counts as often as the product of its runs' seeds was drawn.
    """
    rng, results, counts = np.random.default_rng(1), [], []
    weights = {row: rng.multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), 1000) for row in range(len(data.recipes))}
    for _ in range(MIXED_DRAWS):
        rows = sets[rng.integers(len(sets))]
        places = rng.integers(len(seeds), size=len(rows))
        one = judge(policy, data.experiment(rows, [seeds[place] for place in places]))
        results.append([one.regret, one.share, one.is_true_best, one.is_same_run])
        counts.append(np.prod([weights[row][:, place] for row, place in zip(rows, places, strict=True)], axis=0))
    table, counts_DB = np.array(results, dtype=float), np.array(counts, dtype=float)
    means_B = (counts_DB * table[:, :1]).sum(0) / counts_DB.sum(0)
    widening = np.sqrt(len(seeds) / (len(seeds) - 1))
    return table.mean(0), float(np.quantile(table[:, 0].mean() + widening * (means_B - table[:, 0].mean()), 0.95))


def curve_model(plan: Plan, data: Recorded) -> Policy:
    """Halving by the predicted end: a linear model of the gain to come that knows the schedule and never saw the recipe."""
    models = {name: _fitted(data, name) for name in data.recipes}

    def policy(seen: Experiment) -> Spent:
        def rule(held_out_RE: np.ndarray, epoch: int) -> np.ndarray:
            rows = [_features(name, curve, epoch) for name, curve in zip(seen.names, held_out_RE, strict=True)]
            return best_so_far(held_out_RE, epoch) + [models[name] @ row for name, row in zip(seen.names, rows, strict=True)]

        return halving_by(plan, rule)(seen)

    return policy


def _fitted(data: Recorded, without: str) -> np.ndarray:
    rows, gains = [], []
    for recipe, curves_SE in zip(data.recipes, data.held_out_RSE, strict=True):
        for curve, epoch in itertools.product(curves_SE if recipe != without else (), range(2, 13)):
            rows.append(_features(recipe, curve, epoch))
            gains.append(curve[1:].max() - curve[1 : epoch + 1].max())
    return np.linalg.lstsq(np.array(rows), np.array(gains), rcond=None)[0]


def _features(name: str, curve: np.ndarray, epoch: int) -> np.ndarray:
    return np.array([*schedule_features(name, epoch, len(curve) - 1), curve[epoch] - curve[max(0, epoch - 2)]])


def family() -> dict[str, Plan]:
    """Two cuts, on fifteenths, that take six runs at most half of the epochs."""
    plans = {}
    for first, second in itertools.combinations(range(2, 13), 2):
        for many, few in ((1 / 2, 1 / 3), (1 / 2, 1 / 6), (1 / 3, 1 / 6)):
            counts = (6, round(6 * many), round(6 * few))
            if counts[0] * first + counts[1] * (second - first) + counts[2] * (15 - second) <= 45:
                plans[f"{first}:{counts[1]}, {second}:{counts[2]}"] = (Cut(first / 15, many), Cut(second / 15, few))
    return plans


def chosen_without_the_seed(data: Recorded, sets: Sequence[tuple[int, ...]]) -> tuple[float, float, list[str]]:
    """Return mean regret and share when the plan is chosen on the other seeds, and the plans that were chosen."""
    tables = {name: matched(halving(plan), data, range(len(data.seeds)), sets) for name, plan in family().items()}
    regrets, shares, names = [], [], []
    for seed in range(len(data.seeds)):
        others = [s for s in range(len(data.seeds)) if s != seed]
        best = min(tables, key=lambda name: (round(float(tables[name][others, :, 0].mean()), 6), tables[name][..., 1].mean()))
        regrets.append(tables[best][seed, :, 0].mean())
        shares.append(tables[best][seed, :, 1].mean())
        names.append(best)
    return float(np.mean(regrets)), float(np.mean(shares)), names
