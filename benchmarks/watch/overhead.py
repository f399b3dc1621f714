"""What watching costs: seconds a step of a bare loop beside the same loop under `unplateau.watch`, interleaved in one process.

    python benchmarks/watch/overhead.py [--blocks 8] [--output benchmarks/results/watch_overhead.md]

Blocks of steps alternate between two equal trainings, bare and watched; the ratio of each pair of neighbouring blocks is one
observation, so that what else the machine does falls on both. `every=1` is the worst case: it measures as often as its own limit
of 1 % of the time allows. The first steps, which are measured one by one, are reported apart.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent.parent))

from machine import machine_line  # noqa: E402

import unplateau  # noqa: E402
from unplateau.engine.watching.training_reader import FIRST_STEPS  # noqa: E402
from unplateau.testing.tiny_problem import tiny_backbone  # noqa: E402

IDENTITIES = 751
MOST_CPU_SECONDS = 80.0  # for one network


@dataclass
class Training:
    """A loop that can be run some steps at a time."""

    step: Callable[[], torch.Tensor]
    model: nn.Module
    optimizer: torch.optim.Optimizer


def tiny() -> Training:
    """The tests' two-layer network on 16 images of 16 x 8: the shortest step there is."""
    model = nn.Sequential(tiny_backbone(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, IDENTITIES))
    return _training(model, torch.randn(16, 3, 16, 8))


def mobilenet() -> Training:
    """MobileNetV2 on 64 images of 128 x 64."""
    from torchvision.models import mobilenet_v2

    return _training(mobilenet_v2(num_classes=IDENTITIES), torch.randn(64, 3, 128, 64))


NETWORKS = (("tiny, 16 images of 16x8", tiny, 100), ("MobileNetV2, 64 images of 128x64", mobilenet, 2))
"""Name, network, steps a block."""


def _training(model: nn.Module, images_BCHW: torch.Tensor) -> Training:
    labels_B = torch.arange(len(images_BCHW)) % 16
    optimizer = torch.optim.Adam(model.parameters(), lr=3.5e-4)

    def step() -> torch.Tensor:
        loss = F.cross_entropy(model(images_BCHW), labels_B)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return Training(step, model, optimizer)


def seconds_of(step: Callable[[], object], steps: int) -> float:
    """Processor seconds a step: on one thread the same as elapsed ones, and not those of other processes of the machine."""
    started = time.process_time()
    for _ in range(steps):
        step()
    return (time.process_time() - started) / steps


def compare(make: Callable[[], Training], *, blocks: int, steps: int) -> dict[str, float]:
    """Median ratio watched / bare with a 95 % bootstrap interval, and what the first steps cost."""
    torch.manual_seed(0)
    bare, watched = make(), make()
    deadline = time.process_time() + MOST_CPU_SECONDS
    ratios: list[float] = []
    times: list[float] = []
    seconds_of(bare.step, 2)
    with unplateau.watch(watched.model, watched.optimizer, every=1, on_finding=print, num_identities=IDENTITIES) as watch:

        def step() -> None:
            watch.step({"cross_entropy": watched.step()})

        first = seconds_of(step, FIRST_STEPS) - seconds_of(bare.step, FIRST_STEPS)
        for number in range(blocks):
            order = (0, 1) if number % 2 == 0 else (1, 0)
            pair = {place: seconds_of(step if place else bare.step, steps) for place in order}
            ratios.append(pair[1] / pair[0])
            times.append(pair[0])
            if time.process_time() > deadline:
                break
        booked = watch.share_of_time
    low, high = _interval(ratios)
    ratio, base = statistics.median(ratios), statistics.median(times)
    return {"base": base, "ratio": ratio, "low": low, "high": high, "first": first * FIRST_STEPS, "booked": booked,
            "steps": len(ratios) * steps}  # fmt: skip


def _interval(values: list[float]) -> tuple[float, float]:
    generator = random.Random(0)
    medians = sorted(statistics.median(generator.choices(values, k=len(values))) for _ in range(2000))
    return medians[50], medians[-51]


def main() -> None:
    """Measure both networks and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--only", default="", help="networks whose name holds this")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/watch_overhead.md"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = []
    for name, make, steps in NETWORKS:
        if arguments.only not in name:
            continue
        r = compare(make, blocks=arguments.blocks, steps=steps)
        rows.append(
            f"| {name} | {r['base'] * 1e3:.2f} | {r['ratio'] - 1:+.2%} ({r['low'] - 1:+.2%} to {r['high'] - 1:+.2%}) "
            f"| {r['booked']:.2%} | {r['first'] * 1e3:.0f} ms | {r['steps']:.0f} |"
        )
        print(rows[-1], flush=True)
    how = "a bare loop and the same loop under `unplateau.watch`, every=1, blocks of steps in turn"
    columns = [
        "network", "bare step, ms of processor time", "overhead, median over pairs of blocks (95 %)",
        "booked by watch itself, all steps", f"extra time of the first {FIRST_STEPS} steps", "steps watched",
    ]  # fmt: skip
    head = ["# What watching costs", "", f"`python benchmarks/watch/overhead.py`: {how}.", "", machine_line(), ""]
    table = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns), *rows]
    text = "\n".join([*head, *table, ""])
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
