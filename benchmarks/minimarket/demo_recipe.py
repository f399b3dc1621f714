"""What a small network reaches on MiniMarket and costs: the product with `minimarket_demo.yml`, several seeds.

    python benchmarks/minimarket/demo_recipe.py [--seeds 0 1] [--threads 2] [--scratch DIR] [--write FILE] [KEY VALUE ...]

Processor time is that of the whole run after the set is drawn: decoding, preflight, training, validation every epoch and the
test at the end. On a machine with other work it says what the clock cannot; with one thread it is the clock of one free core.
The bar: above 0.80 test mAP within three minutes on two cores.
"""

import argparse
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.machine import machine_line
from unplateau.runs.reader import read_run
from unplateau.workflows.training.request import TrainRequest
from unplateau.workflows.training.train import run_training

RECIPE = Path(__file__).resolve().parents[2] / "custom_configs" / "minimarket_demo.yml"


@dataclass(frozen=True)
class Result:
    """One seed."""

    seed: int
    test_map: float
    rank_1: float
    epochs: int
    processor_seconds: float
    clock_seconds: float
    training_seconds: float
    """By the clock, training and validation of all epochs."""


def run(seed: int, scratch: Path, overrides: list[str]) -> Result:
    """Train one seed with the product."""
    settings = ("SEED", str(seed), "OUTPUT_DIR", str(scratch), *overrides)
    clock, processor = time.perf_counter(), time.process_time()
    outcome = run_training(TrainRequest(RECIPE, f"demo_seed{seed}", settings, restart=True))
    processor, clock = time.process_time() - processor, time.perf_counter() - clock
    epochs = read_run(outcome.folder.path).epochs
    seconds = sum(epoch.seconds for epoch in epochs)
    return Result(seed, outcome.tests[0].mAP, outcome.tests[0].cmc["1"], len(epochs), processor, clock, seconds)


def table(results: list[Result]) -> str:
    """Return the results as Markdown."""
    lines = [
        "| seed | test mAP | rank-1 | epochs | processor time, whole run | by the clock | of it training and validation |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in results:
        times = f"{r.processor_seconds:.0f} s | {r.clock_seconds:.0f} s | {r.training_seconds:.0f} s"
        lines.append(f"| {r.seed} | {r.test_map:.3f} | {r.rank_1:.3f} | {r.epochs} | {times} |")
    maps = [r.test_map for r in results]
    lines += ["", f"Lowest test mAP {min(maps):.3f}, mean {statistics.mean(maps):.3f} over {len(maps)} seed(s)."]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--scratch", type=Path, default=Path("logs") / "demo_recipe")
    parser.add_argument("--write", type=Path)
    arguments, overrides = parser.parse_known_args()
    torch.set_num_threads(arguments.threads)
    results = [run(seed, arguments.scratch, overrides) for seed in arguments.seeds]
    text = f"{table(results)}\n\n{machine_line()}\n"
    print(text)
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
