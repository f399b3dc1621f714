"""What watching costs: bare steps beside watched steps of one training, in turn, in one process.

    OMP_NUM_THREADS=1 python benchmarks/watch/overhead.py [--output benchmarks/results/watch.md]

One training runs step by step in the order bare, watched, watched, bare: in a bare step the watch's hooks are off its optimiser
and `watch.step` is not called. So both sides have the same weights at the same addresses, and whatever else the machine does
falls on both; two trainings side by side differ by more than what is to be measured.

Two parts add up to the overhead of a step's processor time. What runs inside watch (`watch.step`, its hook) is timed by itself:
its sum over all steps over the sum of all bare steps, so that the few steps in which watch measures count in full. What watch
costs the rest of the step, such as a cooler cache, is the median over groups of four of rest of the watched over bare, minus 1.
95 % intervals are a bootstrap over 50 stretches of neighbouring steps. The same for wall time, where other processes of the
machine come in between. Bare steps beside bare steps show what the second part calls a difference where there is none. The first
steps, which are measured one by one, are reported apart.

`every=1` is the worst case: it measures as often as its own limit allows.
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent.parent))

from machine import machine_line  # noqa: E402

import unplateau  # noqa: E402
from unplateau.engine.watching.training_reader import FIRST_STEPS  # noqa: E402
from unplateau.testing.tiny_problem import tiny_backbone  # noqa: E402

IDENTITIES = 751
STRETCHES = 50
_PATTERN = (0, 1, 1, 0)  # 0 bare, 1 watched
_WARM_UP = 20  # steps before timing

Step = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class Timed:
    """Seconds of each step on one clock; shape (steps,)."""

    bare: np.ndarray
    watched: np.ndarray
    inside: np.ndarray
    """Part of `watched` that ran inside watch."""

    def parts(self) -> dict[str, tuple[float, float, float]]:
        """Return "inside", "rest" and "all" as (share of a bare step, low, high), 95 % bootstrap over stretches."""
        groups = [side.reshape(-1, 2).sum(axis=1) for side in (self.bare, self.watched, self.inside)]
        ratio = (groups[1] - groups[2]) / groups[0] - 1
        pieces = [np.array_split(side, STRETCHES) for side in (groups[2], groups[0], ratio)]
        inside, bare = (np.array([piece.sum() for piece in side]) for side in pieces[:2])
        found = {"inside": inside.sum() / bare.sum(), "rest": float(np.median(ratio))}
        drawn = np.random.default_rng(0).integers(0, STRETCHES, (1000, STRETCHES))
        draws = {
            "inside": inside[drawn].sum(axis=1) / bare[drawn].sum(axis=1),
            "rest": np.array([np.median(np.concatenate([pieces[2][place] for place in row])) for row in drawn]),
        }
        found["all"], draws["all"] = sum(found.values()), draws["inside"] + draws["rest"]
        return {name: (float(found[name]), *map(float, np.quantile(draws[name], (0.025, 0.975)))) for name in found}


class Stopwatch:
    """Nanoseconds of processor and wall time spent in what it wraps."""

    def __init__(self) -> None:
        self.processor = self.wall = 0

    def around(self, call: Callable[..., object]) -> Callable[..., object]:
        """Return the call, timed."""

        def timed(*arguments: object) -> object:
            used, began = time.process_time_ns(), time.perf_counter_ns()
            try:
                return call(*arguments)
            finally:
                self.processor += time.process_time_ns() - used
                self.wall += time.perf_counter_ns() - began

        return timed


def tiny() -> tuple[nn.Module, torch.Tensor]:
    """The tests' two-layer network on 64 images of 64 x 32."""
    return nn.Sequential(tiny_backbone(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, IDENTITIES)), _images(64, 64, 32)


def small() -> tuple[nn.Module, torch.Tensor]:
    """MobileNetV2 of a quarter of the width on 16 images of 64 x 32: many tensors, little arithmetic, the hardest case."""
    from torchvision.models import mobilenet_v2

    return mobilenet_v2(num_classes=IDENTITIES, width_mult=0.25), _images(16, 64, 32)


def whole() -> tuple[nn.Module, torch.Tensor]:
    """MobileNetV2 on 64 images of 128 x 64, as in the recipe for two cores."""
    from torchvision.models import mobilenet_v2

    return mobilenet_v2(num_classes=IDENTITIES), _images(64, 128, 64)


NETWORKS = (
    ("two layers, 64 images of 64x32", tiny, 3000),
    ("MobileNetV2 x0.25, 16 images of 64x32", small, 2000),
    ("MobileNetV2, 64 images of 128x64", whole, 100),
)
"""Name, network, timed steps of each side."""


def _images(*size: int) -> torch.Tensor:
    return torch.randn(size[0], 3, *size[1:], generator=torch.Generator().manual_seed(0))


def training(make: Callable[[], tuple[nn.Module, torch.Tensor]]) -> tuple[nn.Module, torch.optim.Optimizer, Step]:
    """A network, its optimiser, and a step of a plain loop."""
    torch.manual_seed(0)
    model, images_BCHW = make()
    labels_B = torch.arange(len(images_BCHW)) % 16
    optimizer = torch.optim.Adam(model.parameters(), lr=3.5e-4)

    def step() -> torch.Tensor:
        loss = F.cross_entropy(model(images_BCHW), labels_B)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return model, optimizer, step


@contextlib.contextmanager
def under_watch(
    model: nn.Module, optimizer: torch.optim.Optimizer, bare: Step, *, every: int, inside: Stopwatch
) -> Iterator[tuple[Step, Callable[[], float]]]:
    """Give a watched step of a training, and watch's own account of its share of the time."""
    hooks = optimizer._optimizer_step_pre_hooks
    with unplateau.watch(model, optimizer, every=every, num_identities=IDENTITIES) as watch:
        watching = {name: inside.around(hook) for name, hook in hooks.items()}
        take = inside.around(watch.step)

        def step() -> torch.Tensor:
            hooks.update(watching)  # type: ignore[arg-type]
            loss = bare()
            take({"cross_entropy": loss})
            hooks.clear()
            return loss

        hooks.clear()
        yield step, lambda: watch.share_of_time
        hooks.update(watching)  # type: ignore[arg-type]


def in_turn(bare: Step, watched: Step, steps: int, inside: Stopwatch) -> tuple[Timed, Timed]:
    """Return what `steps` steps of each took in (processor time, wall time), in the order of the pattern."""
    rows: tuple[list[tuple[int, ...]], list[tuple[int, ...]]] = ([], [])
    for _ in range(steps // 2):
        for side in _PATTERN:
            within = inside.processor, inside.wall
            used, began = time.process_time_ns(), time.perf_counter_ns()
            (bare, watched)[side]()
            spent = time.process_time_ns() - used, time.perf_counter_ns() - began
            rows[side].append((*spent, inside.processor - within[0], inside.wall - within[1]))
    seconds = [np.array(side) * 1e-9 for side in rows]
    return tuple(Timed(seconds[0][:, clock], seconds[1][:, clock], seconds[1][:, clock + 2]) for clock in (0, 1))  # type: ignore[return-value]


def compare(make: Callable[[], tuple[nn.Module, torch.Tensor]], *, steps: int, every: int) -> list[str]:
    """Return the cells of a network's row."""
    model, optimizer, bare = training(make)
    inside = Stopwatch()
    in_turn(bare, bare, _WARM_UP, inside)
    same, _ = in_turn(bare, bare, steps, inside)
    with under_watch(model, optimizer, bare, every=every, inside=inside) as (watched, own_share):
        first, _ = in_turn(bare, watched, FIRST_STEPS, inside)
        processor, wall = in_turn(bare, watched, steps, inside)
        share = own_share()
    found = processor.parts()
    return [
        f"{1e3 * float(processor.bare.mean()):.1f}", _words(found["all"]), _words(found["inside"]), _words(found["rest"]),
        _words(wall.parts()["all"]), _words(same.parts()["rest"]), f"{share:.2%}",
        f"{1e3 * float(first.inside.sum()):.0f} ms", str(steps),
    ]  # fmt: skip


def _words(estimate: tuple[float, float, float]) -> str:
    value, low, high = estimate
    return f"{value:+.2%} ({low:+.2%} to {high:+.2%})"


def main() -> None:
    """Measure all networks and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="networks whose name holds this")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--share-of-steps", type=float, default=1.0)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/watch.md"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    columns = [
        "network", "bare step, ms of processor time", "overhead, processor time (95 %)", "of it inside watch",
        "of it in the rest of the step", "overhead, wall time (95 %)", "bare beside bare", "watch's own account, wall time",
        f"inside watch in the first {FIRST_STEPS} steps", "steps of each side",
    ]  # fmt: skip
    rows = []
    for name, make, steps in NETWORKS:
        if arguments.only in name:
            cells = compare(make, steps=int(steps * arguments.share_of_steps), every=arguments.every)
            rows.append(f"| {' | '.join([name, *cells])} |")
            print(rows[-1], flush=True)
    how = (
        f"`benchmarks/watch/overhead.py --every {arguments.every}`: bare and watched steps in turn, one process, {machine_line()}"
    )
    table = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns), *rows]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text("\n".join(["# What watching costs", "", how, "", *table, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
