"""A regression guard: the main ratios, measured in a minute or two, against wide limits. Exit code 1 where one is broken.

    make bench-quick        (or: python benchmarks/quick.py)

Processor time of one thread and of both sides in turn, so that a busy machine changes little. The limits are wide on purpose:
what a broken one says is that something became several times as slow. The numbers to quote are those of the single benchmarks.
"""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.evaluation import extraction
from benchmarks.evaluation.measure import Size, bare_product, draw
from benchmarks.losses import triplet
from benchmarks.machine import machine_line
from benchmarks.step import choices, overhead
from unplateau.engine.precision import ways
from unplateau.engine.step_choice import measure_ways, winner
from unplateau.evaluation import retrieve
from unplateau.evaluation.reranking import retrieve_reranked

HALF_A_MARKET = Size("half of Market-1501", 1_684, 7_956, 375)
TURNS = 3


@dataclass(frozen=True)
class Guard:
    """A ratio and the limit that it may not pass."""

    name: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def row(self) -> str:
        limit = f"{'at least' if self.at_least else 'at most'} {self.limit:g}"
        return f"| {self.name} | {self.value:.2f} | {limit} | {'ok' if self.holds else '**broken**'} |"


def processor_seconds(what: Callable[[], object]) -> float:
    started = time.process_time()
    what()
    return time.process_time() - started


def ratio_in_turns(one: Callable[[], object], other: Callable[[], object]) -> float:
    """Return the median of how many times as long `one` takes as `other`."""
    one(), other()
    return statistics.median(processor_seconds(one) / processor_seconds(other) for _ in range(TURNS))


def ranking(spread: float, limit: float) -> Guard:
    query, gallery = draw(HALF_A_MARKET, spread)
    ratio = ratio_in_turns(lambda: retrieve(query, gallery), lambda: bare_product(query.features_ND, gallery.features_ND, 512))
    return Guard(f"ranking by the bare product, spread {spread:g}", ratio, limit)


def reranking() -> Guard:
    query, gallery = draw(HALF_A_MARKET, 2.0)
    everything = np.concatenate((query.features_ND, gallery.features_ND))
    ratio = ratio_in_turns(lambda: retrieve_reranked(query, gallery), lambda: bare_product(everything, everything, 512))
    return Guard("re-ranking by the product of all with all", ratio, 4.0)


def triplet_loss() -> Guard:
    torch.manual_seed(0)
    features_BD, labels_B = torch.randn(64, triplet.DIM, requires_grad=True), torch.arange(16).repeat_interleave(4)
    ratio = ratio_in_turns(
        lambda: triplet.milliseconds(triplet.loop_over_anchors, features_BD, labels_B),
        lambda: triplet.milliseconds(triplet.loss_alone, features_BD, labels_B),
    )
    return Guard("triplet loss: a loop over the anchors by ours, batch 64", ratio, 6.0, at_least=True)


def loop_overhead() -> Guard:
    ours, calls = overhead.product(TURNS + 3), overhead.bare(TURNS + 3)
    return Guard("the product's loop by its bare calls, a network of nothing", ratio_in_turns(ours, calls), 1.6)


def chosen_step() -> Guard:
    training, batch = choices.unmeasured(choices.NETWORKS["osnet_small"])
    open_ways = ways(training.config, choices.CPU, training.model)
    timings = measure_ways(training, open_ways, batch, num_steps=100)
    chosen = next(timing for timing in timings if timing.way == winner(timings))
    return Guard("eager step by the chosen one, OSNet x0.25", timings[0].seconds / chosen.seconds, 1.0, at_least=True)


def chosen_embedding() -> Guard:
    networks, batches = extraction.networks_of(choices.NETWORKS["osnet_small"])
    plain = next(iter(networks))
    fastest = dict.fromkeys(networks, float("inf"))
    for _ in range(TURNS + 1):
        for way, network in networks.items():
            seconds = processor_seconds(partial(extraction.passed, network, batches[way], way))
            fastest[way] = min(fastest[way], seconds)
    return Guard("eager embedding by the fastest way, OSNet x0.25", fastest[plain] / min(fastest.values()), 1.3, at_least=True)


def main() -> None:
    torch.set_num_threads(1)
    started = time.perf_counter()
    print(f"{machine_line()}\n\n| ratio | measured | limit | |\n|---|---|---|---|")
    broken = 0
    for measure in (
        lambda: ranking(2.0, 1.8),
        lambda: ranking(8.0, 3.0),
        reranking,
        triplet_loss,
        loop_overhead,
        chosen_step,
        chosen_embedding,
    ):
        guard = measure()
        broken += not guard.holds
        print(guard.row(), flush=True)
    print(f"\n{broken} broken, {time.perf_counter() - started:.0f} s")
    raise SystemExit(1 if broken else 0)


if __name__ == "__main__":
    main()
