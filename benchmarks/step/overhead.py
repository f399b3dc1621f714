"""What the loop itself costs a step: the product's loop around a network of almost nothing, against the bare calls, in turn.

    python benchmarks/step/overhead.py [--pairs 30] [--write benchmarks/results/overhead.md]

Both sides do the same forward pass, losses, backward pass and Adam on the same batches in memory (the tiny problem of the
tests). The product's loop adds what it does for every step: learning rate, freezing, watching the weights, the record of every
loss term, stop requests. One thread; the difference of neighbouring blocks is the loop's own time.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.machine import machine_line
from unplateau.data.loader import Batch
from unplateau.engine.loop import train
from unplateau.engine.parts import Parts
from unplateau.engine.stopping import Progress
from unplateau.engine.train_step import forward_losses
from unplateau.optim.schedules import Schedule
from unplateau.testing.tiny_problem import tiny_config, tiny_parts, tiny_problem

STEPS, REPLICATES = 200, 10_000


class BatchesInMemory:
    """A loader that costs nothing: the same batches every epoch."""

    def __init__(self, parts: Parts) -> None:
        batches = list(parts.train_loader.epoch(1))
        self.batches = [batches[step % len(batches)] for step in range(STEPS)]
        self.steps_per_epoch, self.num_identities = STEPS, parts.train_loader.num_identities

    def epoch(self, epoch: int) -> Iterator[Batch]:
        yield from self.batches


def parts_of(epochs: int) -> Parts:
    parts = tiny_parts(tiny_problem(), tiny_config(SOLVER={"MAX_EPOCH": epochs, "STEPS": (epochs,)}))
    object.__setattr__(parts, "train_loader", BatchesInMemory(parts))
    return parts


def product(epochs: int) -> Callable[[], object]:
    parts = parts_of(epochs)
    loop = train(parts, Progress(Schedule.from_config(parts.config, STEPS)))
    return lambda: next(loop)


def bare(epochs: int) -> Callable[[], object]:
    parts = parts_of(epochs)

    def block() -> None:
        parts.model.train()
        for batch in parts.train_loader.epoch(1):
            for optimizer in parts.optimizers:
                optimizer.zero_grad(set_to_none=True)
            forward_losses(parts, batch).total.backward()
            for optimizer in parts.optimizers:
                optimizer.step()

    return block


def milliseconds(block: Callable[[], object]) -> float:
    started = time.process_time()
    block()
    return 1e3 * (time.process_time() - started) / STEPS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    ours, calls = product(options.pairs + 1), bare(options.pairs + 1)
    ours(), calls()
    pairs = np.array([(milliseconds(ours), milliseconds(calls)) for _ in range(options.pairs)])
    differences = pairs[:, 0] - pairs[:, 1]
    drawn = np.random.default_rng(0).choice(differences, (REPLICATES, len(differences)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    middle = [statistics.median(side) for side in pairs.T.tolist()]
    lines = [
        "| product's loop, ms a step | bare calls, ms a step | the loop's own, ms a step (95 % interval) |",
        "|---|---|---|",
        f"| {middle[0]:.3f} | {middle[1]:.3f} | **{np.median(differences):.3f}** ({low:.3f}–{high:.3f}) |",
    ]
    head = f"{machine_line()}; {options.pairs} pairs of {STEPS} steps, processor time; load average at the start {load:.1f}"
    text = "\n".join(["# The loop's own time", "", "`python benchmarks/step/overhead.py`", "", head, "", *lines]) + "\n"
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
