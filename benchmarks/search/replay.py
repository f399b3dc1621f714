"""The product's search against random search at the same epochs, replayed on the recorded trials (`record_trials.py`).

    python benchmarks/search/replay.py benchmarks/results/search/trials.jsonl [--repetitions 200] [--whole 4 6 8] [--write FILE]

The pool is the recorded trials. A search runs as in the product: `halving.next_step` says what is next, `suggest` names a
point of `table.yml`, and the recorded, not yet tried trial that is nearest to it is tried: the one that differs in the
fewest parameters, learning rate and loss weight counted by their distance in steps of the grid; ties are broken at random.
The sampler is told the trial's own point. "Training" it until a rung reads that part of its recorded curve, so a pruned
trial costs the epochs it had. The first trial, which is always trained to the end, is drawn at random from the pool in each
repetition: it stands for the base.
There are no solutions. Random search draws from the same pool without replacement and trains every trial to the end; it begins
with the same base. Both may spend the same epochs, and take the trial with the best held-out mAP. What counts is that trial's
test mAP, which neither saw. Intervals: 95 %, bootstrap over repetitions. All repetitions share one table (one training seed), so
they say how the searches differ on these trials, not on others.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from machine import machine_line  # noqa: E402

from unplateau.base.files import read_json_lines, write_text  # noqa: E402
from unplateau.search.halving import Budget, Rungs, make_rungs, next_step, scores  # noqa: E402
from unplateau.search.space import Choice, Space  # noqa: E402
from unplateau.search.space_file import read_space  # noqa: E402
from unplateau.search.suggest import Scored, suggest  # noqa: E402
from unplateau.search.trial import BASE, FINISHED, PAUSED, SUGGESTED, WAITING, Standing, Trial  # noqa: E402

HERE = Path(__file__).parent
ORDERED = ("SOLVER.BASE_LR", "MODEL.LOSSES.TRI.SCALE")


@dataclass(frozen=True)
class Recorded:
    """One trained point."""

    point: dict[str, str]
    curve: tuple[float, ...]
    test_map: float


@dataclass(frozen=True)
class Policy:
    """One way to search."""

    name: str
    sampler: str
    keep: int = 3
    first: int | None = None
    """First rung; None = the product's default."""


def load_table(path: Path, space: Space) -> list[Recorded]:
    """Return the trials that were trained to the end."""
    lines = {str(line["keys"]): line for line in read_json_lines(path)}.values()
    found = []
    for line in lines:
        point = {part.name: _label(part, line["keys"]) for part in space.parameters}
        found.append(Recorded(point, tuple(line["held_out_map"]), line["test_map"] or 0.0))
    length = max(len(one.curve) for one in found)
    return [one for one in found if len(one.curve) == length]


def _label(part, keys) -> str:
    return next(label for label, option in part.options.items() if all(keys.get(key) == value for key, value in option.items()))


class Pool:
    """The recorded trials of which some were tried."""

    def __init__(self, table: Sequence[Recorded], space: Space, rng: np.random.Generator) -> None:
        self.table, self.space, self.rng = table, space, rng
        self.left = set(range(len(table)))

    def nearest(self, point) -> int:
        """Take the recorded trial nearest to a point."""
        order = self.rng.permutation(sorted(self.left))
        row = min(order, key=lambda row: self._distance(point, self.table[row].point))
        return self.take(int(row))

    def any(self) -> int:
        return self.take(int(self.rng.choice(sorted(self.left))))

    def take(self, row: int) -> int:
        self.left.remove(row)
        return row

    def _distance(self, first, second) -> float:
        return sum(self._apart(part, first[part.name], second[part.name]) for part in self.space.parameters)

    def _apart(self, part: Choice, first: str, second: str) -> float:
        if part.name in ORDERED:
            labels = list(part.options)
            return abs(labels.index(first) - labels.index(second)) / (len(labels) - 1)
        return float(first != second)


def search(table: Sequence[Recorded], space: Space, policy: Policy, *, epochs: int, seed: int) -> tuple[float, int, int]:
    """Return the test mAP of what a search takes, the epochs it spent, and the trials it began."""
    whole = len(table[0].curve)
    rungs = make_rungs(whole, keep=policy.keep, first=policy.first)
    pool = Pool(table, space, np.random.default_rng([seed, 1]))
    rows = [int(np.random.default_rng([seed, 2]).integers(len(table)))]
    pool.take(rows[0])
    trials = [Standing(Trial(0, "trial_000", BASE, {}, table[rows[0]].point), WAITING)]
    while (step := next_step(trials, rungs, Budget(epochs=epochs), can_suggest=bool(pool.left))) is not None:
        number = step.number
        if number is None:
            number = len(trials)
            row = pool.any() if policy.sampler == "pool" else pool.nearest(_suggested(space, trials, rungs, policy, seed))
            rows.append(row)
            trials.append(Standing(Trial(number, f"trial_{number:03d}", SUGGESTED, {}, table[row].point)))
        curve = tuple(enumerate(table[rows[number]].curve[: step.until], 1))
        state = FINISHED if step.until == whole else PAUSED
        trials[number] = replace(trials[number], curve=curve, epochs=step.until, state=state)
    best = max(trials, key=lambda one: one.best or 0.0)
    return table[rows[best.number]].test_map, sum(one.epochs for one in trials), len(trials)


def _suggested(space: Space, trials: Sequence[Standing], rungs: Rungs, policy: Policy, seed: int):
    enough = len(space.parameters) + 1
    scored = [Scored(one.trial.point, score) for one, score in scores(trials, rungs, enough=enough)]
    return suggest(space, scored, sampler=policy.sampler, seed=seed, draw=len(trials))


POLICIES = (
    Policy("random search, every trial to the end", "pool", first=10**6),
    Policy("**TPE, pruned (1 in 3 goes on, first rung a ninth): the product**", "tpe"),
    Policy("TPE, every trial to the end", "tpe", first=10**6),
    Policy("random, pruned as the product", "pool"),
    Policy("random, pruned, first rung a third", "pool", first=2),
    Policy("random, pruned, 1 in 2 goes on after a half", "pool", keep=2, first=3),
)


def interval(values: np.ndarray, of: Callable = np.mean) -> str:
    """Return a mean and its bootstrap interval, in points of mAP."""
    rng = np.random.default_rng(0)
    means = [of(rng.choice(values, len(values))) for _ in range(2000)]
    low, high = np.percentile(means, (2.5, 97.5))
    return f"{100 * of(values):+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"


def report(table: Sequence[Recorded], space: Space, repetitions: int, budgets: Sequence[int], policies: Sequence[Policy]) -> str:
    """Return the table of results as Markdown."""
    whole = len(table[0].curve)
    best = max(one.test_map for one in table)
    lines = [
        f"{len(table)} recorded trials of {whole} epochs; the best of them has {best:.2%} test mAP. {repetitions} repetitions.",
        machine_line(), "",
    ]  # fmt: skip
    for budget in budgets:
        results = {
            policy.name: np.array([search(table, space, policy, epochs=budget * whole, seed=seed) for seed in range(repetitions)])
            for policy in policies
        }
        blind = results[policies[0].name]
        lines += [
            f"Budget {budget * whole} epochs, as many as {budget} whole trainings:", "",
            "| search | test mAP of what it takes | against random search, points | better / equal / worse | trials | epochs |",
            "|---|---|---|---|---|---|",
        ]  # fmt: skip
        for name, found in results.items():
            apart = found[:, 0] - blind[:, 0]
            counts = f"{(apart > 0).sum()} / {(apart == 0).sum()} / {(apart < 0).sum()}"
            against = "-" if name == policies[0].name else interval(apart)
            score, epochs, trials = found.mean(axis=0)
            lines.append(f"| {name} | {score:.2%} | {against} | {counts} | {trials:.1f} | {epochs:.1f} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--whole", type=int, nargs="+", default=[4, 6, 8], help="budgets, in whole trainings")
    parser.add_argument("--policies", type=int, nargs="+", default=list(range(len(POLICIES))), help="rows of POLICIES; 0 first")
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    space = read_space(HERE / "table.yml")
    text = report(
        load_table(arguments.table, space),
        space,
        arguments.repetitions,
        arguments.whole,
        [POLICIES[row] for row in arguments.policies],
    )
    print(text)
    if arguments.write:
        write_text(arguments.write, text + "\n")


if __name__ == "__main__":
    main()
