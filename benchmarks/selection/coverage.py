"""How often the intervals of `unplateau.selection` hold the truth, how often equal recipes "win", and what several seeds can see.

    python benchmarks/selection/coverage.py [--simulations 2000] [--write benchmarks/results/selection.md]

NumPy and this package only, seeds fixed; minutes on a core. Average precision is made of parts: an identity's difficulty, what
a recipe does on an identity, what a seed does, what a seed does on an identity, and the query. The sizes of the seeds' parts are
fitted to the recorded curves of Market-1501 mini (benchmarks/results/protocol/curves: standard deviation between seeds against
number of identities), or were measured on six MiniMarket runs. Numbers of queries of an identity: 1 to 6, as in Market-1501.
"""

import argparse
import platform
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.machine import processor
from benchmarks.protocol.summarise import SIZES, final, pooled_deviation, read_curves
from unplateau.selection.crossed import Panel
from unplateau.selection.select import CLEAR, select
from unplateau.selection.statistics import ValidationCurve

CURVES = Path(__file__).parents[1] / "results" / "protocol" / "curves"
SEEDS = (1, 2, 3, 4, 5, 7, 10)
DIFFERENCE = 0.02
EPOCHS = 12


@dataclass(frozen=True)
class Parts:
    """Standard deviations of the parts of an average precision, as shares."""

    name: str
    identities: int
    seed: float
    seed_on_identity: float
    recipe_on_identity: float
    identity: float = 0.19
    query: float = 0.15
    noisier: float = 1.0
    """How much noisier the seeds of the first recipe are."""
    is_clipped: bool = False
    """Cut to 0..1, with many perfect queries, as an easy held-out set has them."""


def scenarios() -> list[Parts]:
    """Return what is simulated; the first is fitted to recorded runs."""
    seed, on_identity = fitted_to_curves()
    market = Parts("Market-1501 mini, fitted to recorded curves", 75, seed, on_identity, 0.05)
    return [
        market,
        replace(market, name="the same, 20 identities held out", identities=20),
        Parts("MiniMarket, as measured on six runs", 20, 0.01, 0.15, 0.10),
        replace(market, name="one recipe's seeds three times as noisy", noisier=3.0),
        replace(market, name="seeds alone matter", seed=0.02, seed_on_identity=0.01, recipe_on_identity=0.01),
        replace(market, name="identities alone matter", identities=40, seed=0.001, recipe_on_identity=0.2),
        replace(market, name="many perfect queries (no difference)", identities=75, is_clipped=True),
    ]


def fitted_to_curves() -> tuple[float, float]:
    """Return a seed's part and its part on each identity: variance between seeds = seed^2 + seed_on_identity^2 / identities."""
    curves = read_curves(CURVES)
    variances = [(pooled_deviation(final(curves, f"held_out_{size}_map")) / 100) ** 2 for size in SIZES]
    columns = np.stack([np.ones(len(SIZES)), 1 / np.array(SIZES)], axis=1) / np.array(variances)[:, None]  # relative errors
    seed, on_identity = np.linalg.lstsq(columns, np.ones(len(SIZES)), rcond=None)[0]
    return float(np.sqrt(max(seed, 0))), float(np.sqrt(max(on_identity, 0)))


def made(rng: np.random.Generator, parts: Parts, persons_Q: np.ndarray, seeds: tuple[int, ...], gains: tuple[float, ...]) -> list:
    """Return each recipe's average precision, (S, Q). With one seed each the checkpoints are as they are: no seed's part."""
    count = parts.identities
    difficulty_I = rng.normal(0, parts.identity, count)
    recipes = []
    for index, (num_seeds, gain) in enumerate(zip(seeds, gains, strict=True)):
        noisier = parts.noisier if index == 0 else 1.0
        seed = 0.0 if max(seeds) == 1 else parts.seed * noisier
        of_identity_SI = difficulty_I + rng.normal(0, parts.recipe_on_identity, count) + rng.normal(0, 1, (num_seeds, 1)) * seed
        of_identity_SI = of_identity_SI + rng.normal(0, parts.seed_on_identity, (num_seeds, count)) * noisier
        level = 0.8 if parts.is_clipped else 0.5
        values_SQ = level + gain + of_identity_SI[:, persons_Q] + rng.normal(0, parts.query, (num_seeds, len(persons_Q)))
        recipes.append(values_SQ.clip(0, 1) if parts.is_clipped else values_SQ)
    return recipes


def queries(rng: np.random.Generator, parts: Parts) -> np.ndarray:
    return np.repeat(np.arange(parts.identities), rng.integers(1, 7, parts.identities))


def coverage(parts: Parts, num_seeds: int, simulations: int) -> tuple[float, float]:
    """Return how often the interval holds the known difference, and its mean width in points."""
    rng, held, width = np.random.default_rng(num_seeds), 0, 0.0
    truth = 0.0 if parts.is_clipped else DIFFERENCE
    for _ in range(simulations):
        persons_Q = queries(rng, parts)
        first_SQ, second_SQ = made(rng, parts, persons_Q, (num_seeds, num_seeds), (truth, 0.0))
        estimate = Panel(persons_Q).difference(first_SQ, second_SQ).estimate()
        held += estimate.low <= truth <= estimate.high
        width += 100 * (estimate.high - estimate.low) / simulations
    return held / simulations, width


def power(parts: Parts, num_seeds: int, gain: float, simulations: int) -> float:
    """Return how often a true difference is seen: the interval leaves zero out, on the right side."""
    rng, seen = np.random.default_rng(100 + num_seeds), 0
    for _ in range(simulations):
        persons_Q = queries(rng, parts)
        first_SQ, second_SQ = made(rng, parts, persons_Q, (num_seeds, num_seeds), (gain, 0.0))
        seen += Panel(persons_Q).difference(first_SQ, second_SQ).estimate().low > 0
    return seen / simulations


def bootstraps(parts: Parts, num_seeds: int, simulations: int, replicates: int = 500) -> np.ndarray:
    """Return the coverage of percentile bootstraps, for comparison: seeds only, identities by pair of seeds, for all."""
    rng, held = np.random.default_rng(200 + num_seeds), np.zeros(3)
    for _ in range(simulations):
        persons_Q = queries(rng, parts)
        panel = Panel(persons_Q)
        first_SI, second_SI = (
            panel.by_identity(values_SQ) for values_SQ in made(rng, parts, persons_Q, (num_seeds,) * 2, (DIFFERENCE, 0.0))
        )
        count = len(panel.shares_I)
        seeds_RS = rng.integers(0, num_seeds, (2, replicates, num_seeds))
        nested_RSI = panel.shares_I * rng.multinomial(count, np.full(count, 1 / count), size=(replicates, num_seeds))
        for way, weights_RSI in enumerate((panel.shares_I[None, None], nested_RSI, nested_RSI[:, :1])):
            shares_RSI = weights_RSI / weights_RSI.sum(axis=2, keepdims=True)
            first_R, second_R = (
                (values_SI[chosen_RS] * shares_RSI).sum(axis=2).mean(axis=1)
                for values_SI, chosen_RS in ((first_SI, seeds_RS[0]), (second_SI, seeds_RS[1]))
            )
            low, high = np.quantile(first_R - second_R, [0.025, 0.975])
            held[way] += low <= DIFFERENCE <= high
    return held / simulations


def false_winners(parts: Parts, recipes: int, num_seeds: int, simulations: int) -> float:
    """Return how often one of equal recipes becomes a clear winner: the whole of `select`, epochs chosen and all."""
    rng, wins = np.random.default_rng(300 + 10 * recipes + num_seeds), 0
    for _ in range(simulations):
        persons_Q = queries(rng, parts)
        curves, names = [], {}
        for number, values_SQ in enumerate(made(rng, parts, persons_Q, (num_seeds,) * recipes, (0.0,) * recipes)):
            for seed, values_Q in enumerate(values_SQ):
                name = f"recipe{number}_seed{seed}"
                rows_EQ = values_Q + np.linspace(-0.08, 0, EPOCHS)[:, None] + rng.normal(0, 0.05, (EPOCHS, len(values_Q)))
                curves.append(ValidationCurve(name, np.arange(1, EPOCHS + 1), rows_EQ, persons_Q))
                names[name] = f"recipe{number}"
        wins += select(curves, recipes=names).verdict == CLEAR
    return wins / simulations


def report(simulations: int, only: str) -> list[str]:
    """Return the tables as Markdown; `only` those whose title begins so."""
    chosen = scenarios()
    seed, on_identity = fitted_to_curves()
    lines = [
        "# Selection: coverage, power, false winners", "",
        "Printed by `benchmarks/selection/coverage.py`, which says how average precision is made. "
        f"{simulations} simulated pairs a cell, so a standard error of {100 * np.sqrt(0.05 * 0.95 / simulations):.1f} % at 95 %. "
        f"Fitted to the recorded curves: a seed moves the mAP by {100 * seed:.2f} points, and by {100 * on_identity:.1f} points "
        "on each identity by itself (standard deviations). "
        f"{processor()}, Python {platform.python_version()}, numpy {np.__version__}.",
    ]  # fmt: skip
    for title, said, table in (
        (f"Coverage of the 95 % interval, true difference {100 * DIFFERENCE:.0f} points",
         "In brackets the mean width in points. One seed: the difference of the two checkpoints.", coverage_table),
        ("Coverage of percentile bootstraps, for comparison", "Seeds are drawn in all of them.", bootstrap_table),
        ("Power: how often a true difference is seen", "", power_table),
        ("False winners: one of equal recipes becomes a clear winner",
         f"The whole of `select`, {EPOCHS} epochs a run, first scenario; in brackets the share's 95 % interval.", winners_table),
    ):  # fmt: skip
        if not title.lower().startswith(only.lower()):
            continue
        lines += ["", f"## {title}", "", *([said, ""] if said else [])]
        for line in table(chosen, simulations):
            lines.append(line)
            print(line, flush=True)
    return lines


def coverage_table(chosen: list[Parts], simulations: int) -> Iterator[str]:
    yield from _header("seeds of each", map(str, SEEDS))
    for parts in chosen:
        cells = [coverage(parts, count, simulations) for count in SEEDS]
        yield f"| {parts.name} | {' | '.join(f'{held:.3f} ({width:.1f})' for held, width in cells)} |"


def bootstrap_table(chosen: list[Parts], simulations: int) -> Iterator[str]:
    ways = ("identities as they are", "identities for each pair of seeds (nested)", "identities once for all (crossed)")
    yield from _header("scenario, seeds of each", ways)
    for parts in (chosen[0], chosen[2], chosen[5]):
        for count in (3, 5, 10):
            held = bootstraps(parts, count, simulations // 4)
            yield f"| {parts.name}, {count} | {' | '.join(f'{cell:.3f}' for cell in held)} |"


def power_table(chosen: list[Parts], simulations: int) -> Iterator[str]:
    yield from _header("true difference, scenario; seeds of each", map(str, SEEDS[1:]))
    for parts in chosen[:2]:
        for gain in (0.01, 0.02, 0.03, 0.05):
            cells = [power(parts, count, gain, simulations // 2) for count in SEEDS[1:]]
            yield f"| {100 * gain:.0f} points, {parts.name} | {' | '.join(f'{cell:.2f}' for cell in cells)} |"


def winners_table(chosen: list[Parts], simulations: int) -> Iterator[str]:
    counts = (1, 2, 3, 5)
    yield from _header("recipes; seeds of each", map(str, counts))
    for recipes in (2, 3, 6):
        number = simulations if recipes == 2 else simulations // 4  # more recipes: more work, and fewer winners
        cells = [_share_words(false_winners(chosen[0], recipes, count, number), number) for count in counts]
        yield f"| {recipes} | {' | '.join(cells)} |"


def _share_words(share: float, number: int) -> str:
    """A share with Wilson's (1927) interval."""
    z = 1.96
    middle, half = share + z * z / (2 * number), z * np.sqrt(share * (1 - share) / number + z * z / (4 * number**2))
    low, high = ((middle + sign * half) / (1 + z * z / number) for sign in (-1, 1))
    return f"{share:.3f} ({max(low, 0):.3f} to {high:.3f})"


def _header(first: str, others: Iterable[str]) -> list[str]:
    columns = [first, *others]
    return [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--only", default="", help="how the titles of the wanted tables begin, such as false")
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    text = "\n".join(report(arguments.simulations, arguments.only)) + "\n"
    print(text)
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
