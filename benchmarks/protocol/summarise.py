"""Prints the protocol table from the curves that `record_curves.py` kept: seed noise, held-out against test, how many identities.

    python benchmarks/protocol/summarise.py benchmarks/results/protocol/curves [--write benchmarks/results/protocol/summary.md]

Needs numpy only. mAP in percent. "Chosen by N" means: by the mAP on N held-out identities.
"""

import argparse
import json
import re
from collections import defaultdict
from pathlib import Path

import numpy as np

SIZES = (10, 15, 20, 30, 50, 75, 100)
Curves = dict[tuple[str, int], list[dict[str, float]]]


def read_curves(folder: Path) -> Curves:
    """Return {(recipe, seed): [epoch 0, epoch 1, ...]}."""
    curves = {}
    for path in sorted(folder.glob("*.jsonl")):
        recipe, seed = re.fullmatch(r"(.+)_seed(\d+)", path.stem).groups()
        curves[recipe, int(seed)] = [json.loads(line) for line in path.read_text().splitlines()]
    return curves


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation; ties get their mean rank."""
    ranks = [np.array([(np.sum(x < v) + np.sum(x <= v) - 1) / 2 for v in x]) for x in (np.asarray(a), np.asarray(b))]
    return float(np.corrcoef(*ranks)[0, 1])


def final(curves: Curves, key: str) -> dict[str, np.ndarray]:
    """Return each recipe's values at the last epoch, one a seed, in percent."""
    values = defaultdict(list)
    for (recipe, _), epochs in sorted(curves.items()):
        values[recipe].append(100 * epochs[-1][key])
    return {recipe: np.array(v) for recipe, v in values.items()}


def pooled_deviation(groups: dict[str, np.ndarray]) -> float:
    """Standard deviation over seeds, pooled over recipes."""
    return float(np.sqrt(np.mean([v.var(ddof=1) for v in groups.values()])))


def recipe_table(curves: Curves) -> list[str]:
    lines = ["| recipe | seeds | CE | triplet | test mAP | held-out mAP, 20 identities | 100 identities |", "|---" * 7 + "|"]
    columns = {key: final(curves, key) for key in ("ce", "triplet", "test_map", "held_out_20_map", "held_out_100_map")}
    for recipe in sorted(columns["test_map"], key=lambda r: -columns["test_map"][r].mean()):
        cells = [f"{columns[key][recipe].mean() / 100:.2f}" for key in ("ce", "triplet")]
        for key in ("test_map", "held_out_20_map", "held_out_100_map"):
            values = columns[key][recipe]
            cells.append(f"{values.mean():.1f} ± {values.std(ddof=1):.1f}")
        lines.append(f"| {recipe} | {len(columns['test_map'][recipe])} | {' | '.join(cells)} |")
    return lines


def size_table(curves: Curves) -> list[str]:
    test = final(curves, "test_map")
    recipes = sorted(test)
    lines = [
        "| held-out identities | seed sd of mAP | spread between recipes / seed sd | rank corr. all runs "
        "| recipe means | epochs of a run | recipe chosen by 1 seed: regret | epoch chosen: regret |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for size in SIZES:
        held = final(curves, f"held_out_{size}_map")
        means = np.array([held[r].mean() for r in recipes])
        noise = pooled_deviation(held)
        all_runs = spearman(np.concatenate([held[r] for r in recipes]), np.concatenate([test[r] for r in recipes]))
        of_means = spearman(means, np.array([test[r].mean() for r in recipes]))
        lines.append(
            f"| {size} | {noise:.2f} | {means.std(ddof=1) / noise:.1f} | {all_runs:.2f} | {of_means:.2f} "
            f"| {within_runs(curves, size):.2f} | {recipe_regret(held, test):.2f} | {epoch_regret(curves, size):.2f} |"
        )
    noise = pooled_deviation(test)
    spread = np.array([test[r].mean() for r in recipes]).std(ddof=1) / noise
    lines.append(f"| test set (150 identities) | {noise:.2f} | {spread:.1f} | 1 | 1 | 1 | {recipe_regret(test, test):.2f} | 0 |")
    return lines


def within_runs(curves: Curves, size: int) -> float:
    """Median over runs of the rank correlation between held-out and test mAP over the last ten epochs."""
    values = [
        spearman(np.array([e[f"held_out_{size}_map"] for e in epochs[-10:]]), np.array([e["test_map"] for e in epochs[-10:]]))
        for epochs in curves.values()
    ]
    return float(np.median(values))


def recipe_regret(chosen_by: dict[str, np.ndarray], test: dict[str, np.ndarray]) -> float:
    """Mean test mAP lost, in points, when one run each is compared: best recipe's mean minus the chosen recipe's mean."""
    recipes = sorted(test)
    means = np.array([test[r].mean() for r in recipes])
    chosen = {recipe: _share_first(recipe, recipes, chosen_by) for recipe in recipes}
    return float(sum(chosen[recipe] * (means.max() - mean) for recipe, mean in zip(recipes, means, strict=True)))


def _share_first(recipe: str, recipes: list[str], values: dict[str, np.ndarray]) -> float:
    """In which share of all draws of a seed each `recipe` is ahead of all others; of equals the first one is."""
    own_S = values[recipe]
    ahead_S = np.ones(len(own_S))
    for other in recipes:
        if other != recipe:
            lower_SS = values[other][None] < own_S[:, None] if other < recipe else values[other][None] <= own_S[:, None]
            ahead_S *= lower_SS.mean(axis=1)
    return float(ahead_S.mean())


def epoch_regret(curves: Curves, size: int) -> float:
    """Mean test mAP lost, in points, when a run's epoch is chosen on held-out identities instead of on the test set."""
    losses = []
    for epochs in curves.values():
        test = np.array([e["test_map"] for e in epochs])
        losses.append(100 * (test.max() - test[np.argmax([e[f"held_out_{size}_map"] for e in epochs])]))
    return float(np.mean(losses))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curves", type=Path)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    curves = read_curves(arguments.curves)
    epochs = len(next(iter(curves.values()))) - 1
    lines = [f"{len(curves)} runs, {epochs} epochs each, last epoch; mAP in %, mean ± standard deviation over seeds.", ""]
    lines += [*recipe_table(curves), "", *size_table(curves)]
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.write:
        arguments.write.write_text(text)


if __name__ == "__main__":
    main()
