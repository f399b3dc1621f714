"""The speed record: Market-1501 to 40 % test mAP on two cores, through the product's own command; beside a bare loop if given.

    python benchmarks/market1501/speed_record.py {mini,full} WEIGHTS [--threads 2] [--bare-loop SCRIPT DATA] [--write FILE]

Set REID_DATA to the folder that holds Market-1501-v15.09.15. WEIGHTS is the ImageNet file of MobileNetV1 x0.25 for `mini`, and
torchvision's mobilenet_v2-b0353104.pth for `full`. The recipes are custom_configs/market1501mini_record_cpu.yml and
market1501_record_cpu.yml. Training time is the sum of the epochs' and of the measurement that chose the step; decoding the
images (once, into the cache), building the model and scoring the test set are not in it, but in the whole time. A bare loop is
any script called with (DATA, WEIGHTS, epochs) that prints "... N s training" after each epoch; one epoch of it runs before.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.machine import machine_line
from unplateau.runs.step_choice import StepWay

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Record:
    """What is to be held: 40 % in this time, and what a bare loop took on the machine on which the goal was set."""

    title: str
    config: str
    goal_seconds: float
    bare_seconds: float


RECORDS = {
    "mini": Record("Market-1501 mini", "market1501mini_record_cpu.yml", 50.0, 76.0),
    "full": Record("Market-1501", "market1501_record_cpu.yml", 150.0, 225.0),
}
WANTED_MAP = 0.40
BARE_EPOCHS = 4  # of the bare loop to 40 %, on full Market-1501


@dataclass(frozen=True)
class Outcome:
    """What one run took and reached."""

    epochs: int
    training_seconds: float
    measuring_seconds: float
    whole_seconds: float
    mean_ap: float
    rank1: float
    step: str


def run(record: Record, weights: str, folder: Path, *, threads: int, overrides: list[str]) -> Outcome:
    """Train by the product's command in a process of its own and read its run folder."""
    settings = ["OUTPUT_DIR", str(folder), "MODEL.BACKBONE.PRETRAIN_PATH", str(Path(weights).resolve()), *overrides]
    command = [
        sys.executable,
        "train_research_grade.py",
        "--config-file",
        f"custom_configs/{record.config}",
        "--run-name",
        "record",
    ]
    started = time.perf_counter()
    subprocess.run([*command, *settings], check=True, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    whole = time.perf_counter() - started
    read = {name: json.loads((folder / "record" / f"{name}.json").read_text(encoding="utf-8")) for name in
            ("training_history", "model_info", "step_choice")}  # fmt: skip
    epochs, test, choice = read["training_history"]["epochs"], read["model_info"]["test"][0], read["step_choice"]
    return Outcome(
        epochs=len(epochs),
        training_seconds=sum(epoch["train_seconds"] for epoch in epochs),
        measuring_seconds=choice["spent_seconds"],
        whole_seconds=whole,
        mean_ap=test["mAP"],
        rank1=test["cmc"]["1"],
        step=f"{StepWay(**choice['way']).name} ({choice['basis']})",
    )


def bare_epoch_seconds(script: str, data: str, weights: str, threads: int) -> float:
    """Return what one epoch of the bare loop takes."""
    command = [sys.executable, script, data, weights, "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return float(re.findall(r"(\d+) s training", output)[-1])


def table(record: Record, outcome: Outcome) -> list[str]:
    total = outcome.training_seconds + outcome.measuring_seconds
    is_held = total <= record.goal_seconds and outcome.mean_ap >= WANTED_MAP
    return [
        "| set | test mAP | rank-1 | epochs | training s | of it measuring the step | whole run s | goal s | held | step |",
        "|---|---|---|---|---|---|---|---|---|---|",
        f"| {record.title} | {100 * outcome.mean_ap:.1f} | {100 * outcome.rank1:.1f} | {outcome.epochs} | **{total:.0f}** | "
        f"{outcome.measuring_seconds:.1f} | {outcome.whole_seconds:.0f} | {record.goal_seconds:.0f} | "
        f"{'yes' if is_held else 'no'} | {outcome.step} |",
        "",
        f"A bare loop took {record.bare_seconds:.0f} s to 40 % on the machine on which the goal was set.",
    ]


def beside_bare_loop(record: Record, outcome: Outcome, epoch_seconds: float) -> str:
    """Return the share of the bare loop's time on this machine, in words."""
    bare = BARE_EPOCHS * epoch_seconds
    share = (outcome.training_seconds + outcome.measuring_seconds) / bare
    return (
        f"The bare loop, just before: {epoch_seconds:.0f} s for one epoch. Its way to 40 % is {BARE_EPOCHS} epochs, "
        f"{bare:.0f} s here: ours takes {share:.2f} of that; the goal is {record.goal_seconds / record.bare_seconds:.2f}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", choices=list(RECORDS))
    parser.add_argument("weights")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bare-loop", nargs=2, metavar=("SCRIPT", "DATA"))
    parser.add_argument("--write", type=Path)
    arguments, overrides = parser.parse_known_args()
    record, load = RECORDS[arguments.record], os.getloadavg()[0]
    bare_seconds = bare_epoch_seconds(*arguments.bare_loop, arguments.weights, arguments.threads) if arguments.bare_loop else 0.0
    with tempfile.TemporaryDirectory() as scratch:
        outcome = run(record, arguments.weights, Path(scratch), threads=arguments.threads, overrides=overrides)
    lines = ["", beside_bare_loop(record, outcome, bare_seconds)] if bare_seconds else []
    circumstances = f"{machine_line()}; {arguments.threads} threads in training; load average at the start {load:.1f}; one run."
    text = "\n".join([f"# Speed record: {record.title}", "", circumstances, "", *table(record, outcome), *lines]) + "\n"
    print(text)
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
