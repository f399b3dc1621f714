"""Replays ways to spend fewer epochs on recorded curves, and prints what each keeps and costs. Numpy only, a minute or two.

    python benchmarks/halving/replay.py [--curves F] [--forks F] [--write benchmarks/results/halving.md]

How it is judged: `judging`; the policies: `policies`; the curves: benchmarks/protocol/record_curves.py.
"""

import argparse
import json
import platform
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from judging import (
    Recorded,
    chosen_without_the_seed,
    curve_model,
    family,
    load,
    matched,
    mixed,
    sets_of,
    upper_bound,
)
from policies import Policy, halving, halving_by, last_score, mean_of_two, racing, run_all
from summarise import spearman

from unplateau.selection.halving import PLANS, Cut

RESULTS = Path(__file__).parents[1] / "results"
IDENTITIES = 75  # Market-1501's default of VALIDATION.HELD_OUT
HEAD = (
    "| policy | epochs of six runs | matched: share | same winner | true best | **extra regret** | bound | all six "
    "| mixed: regret | bound | 20 identities: regret |"
)


def policies(data: Recorded) -> Iterator[tuple[str, Policy]]:
    """Yield what is tried, by name."""
    half = PLANS["half"]
    yield "all to the end", run_all
    for name, plan in PLANS.items():
        yield f"halving, plan **{name}**: {words(plan)}", halving(plan)
    yield "halving 30/90, keep 2", halving((Cut(1 / 3, 1 / 3),))
    yield "halving 10/30/90, keep 2 then 1", halving((Cut(1 / 9, 1 / 3), Cut(1 / 3, 1 / 6)))
    yield "halving 45/90, keep 2", halving((Cut(1 / 2, 1 / 3),))
    yield "plan half, ranked by the last epoch", halving_by(half, last_score)
    yield "plan half, ranked by the mean of the last two epochs", halving_by(half, mean_of_two)
    yield "plan half, ranked by a curve model that knows the schedule", curve_model(half, data)
    yield "plan third, ranked by that curve model", curve_model(PLANS["third"], data)
    for margin in (2, 4, 6, 8):
        yield f"racing from 18/90 on: out when {margin} points behind", racing(margin, 3)


def words(plan) -> str:  # noqa: ANN001
    """Return a plan as epochs of 90 and runs kept of six."""
    return ", ".join(f"{round(90 * cut.after)}/90 keep {round(6 * cut.keep)}" for cut in plan)


def policy_rows(data: Recorded, few: Recorded) -> list[str]:
    """Return the table of policies."""
    sets, seeds = sets_of(data.recipes), range(len(data.seeds))
    full = [tuple(range(len(data.recipes)))]
    rows = [HEAD, "|---" * 11 + "|"]
    for name, policy in policies(data):
        table, whole = matched(policy, data, seeds, sets), matched(policy, data, seeds, full)
        means, (apart, bound) = table.mean((0, 1)), mixed(policy, data, seeds, sets)
        noisy = matched(policy, few, seeds, sets)[..., 0].mean()
        rows.append(
            f"| {name} | {whole[..., 1].mean():.0%} | {means[1]:.0%} | {means[3]:.2f} | {means[2]:.2f} | **{means[0]:+.2f}** "
            f"| {upper_bound(table[..., 0]):+.2f} | {whole[..., 0].mean():+.2f} | {apart[0]:+.2f} | {bound:+.2f} | {noisy:+.2f} |"
        )
    return rows


def ends_of(data: Recorded) -> np.ndarray:
    """Return the test mAP each run ends with, at its best held-out epoch: (recipes, seeds)."""
    best_RS1 = 1 + np.argmax(data.held_out_RSE[..., 1:], axis=-1, keepdims=True)
    return np.take_along_axis(data.test_RSE, best_RS1, axis=-1)[..., 0]


def rank_rows(data: Recorded) -> list[str]:
    """Return how well the held-out mAP after each epoch ranks the six runs by the test mAP they end with."""
    ends_RS = ends_of(data)
    epochs = range(1, data.held_out_RSE.shape[2])
    values = [
        np.mean([spearman(data.held_out_RSE[:, s, 1 : e + 1].max(1), ends_RS[:, s]) for s in range(len(data.seeds))])
        for e in epochs
    ]
    return [
        "| epoch of 15 | " + " | ".join(map(str, epochs)) + " |",
        "|---" * (len(values) + 1) + "|",
        "| rank correlation | " + " | ".join(f"{value:.2f}" for value in values) + " |",
    ]


def fork_rows(data: Recorded, folder: Path) -> list[str]:
    """Return the rank correlations of forks and averages with the end, where every recipe of a seed was forked."""
    found = {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in sorted(folder.glob("*.jsonl"))}
    key, lines = f"held_out_{IDENTITIES}_map", []
    for place, seed in enumerate(data.seeds):
        names = [f"{recipe}_seed{seed}" for recipe in data.recipes]
        if not set(names) <= set(found):
            continue
        ends = np.array(
            [t[1 + int(np.argmax(h[1:]))] for h, t in zip(data.held_out_RSE[:, place], data.test_RSE[:, place], strict=True)]
        )
        for row, fork in enumerate(found[names[0]]):
            scores = np.array([found[name][row][key] for name in names])
            start = fork["from_epoch"]
            frozen = data.held_out_RSE[:, place, 1 : start + 1].max(1)
            what = f"cooldown of {fork['fork_epochs']} epoch" if fork["fork_epochs"] else "average of the weights"
            lines.append(f"| {seed} | {start} | {what} | {spearman(scores, ends):.2f} | {spearman(frozen, ends):.2f} |")
    return (
        ["| seed | after epoch | what | its rank correlation | the frozen run's own |", "|---" * 5 + "|", *lines] if lines else []
    )


def text(arguments: argparse.Namespace) -> str:
    """Return the whole page."""
    data, few = load(arguments.curves, IDENTITIES), load(arguments.curves, 20)
    sets = sets_of(data.recipes)
    regret, share, names = chosen_without_the_seed(data, sets)
    forks = fork_rows(data, arguments.forks) if arguments.forks else []
    parts = [
        "# Spending fewer epochs, replayed on recorded curves\n",
        f"`benchmarks/halving/replay.py` on {len(data.recipes)} recipes, {len(data.seeds)} seeds "
        f"({', '.join(map(str, data.seeds))}), 15 epochs that stand for 90, "
        f"held-out mAP on {IDENTITIES} identities; Python {platform.python_version()}, "
        f"numpy {np.__version__}. Regret in points of test mAP.",
        "", *rank_rows(data), "", *policy_rows(data, few), "",
        f"Plan chosen without the seed it is judged on, of {len(family())} plans with two cuts and at most half of the epochs of "
        f"six runs: extra regret {regret:+.2f} at {share:.0%} of the epochs (matched). Chosen: {'; '.join(names)} "
        "(epoch of 15: runs kept).",
        *(["", *forks] if forks else []),
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", type=Path, default=RESULTS / "protocol" / "curves")
    parser.add_argument("--forks", type=Path)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    page = text(arguments)
    print(page)
    if arguments.write:
        arguments.write.write_text(page)


if __name__ == "__main__":
    main()
