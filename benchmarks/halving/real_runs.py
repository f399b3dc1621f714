"""The control and the five solutions, for real: to the end, by halving, from a stalled baseline, and with a fault.

    python benchmarks/halving/real_runs.py FOLDER [--cases whole halved low-rate fault] [--epochs 10] [--height 64]
    python benchmarks/halving/real_runs.py FOLDER --market WEIGHTS --epochs 12 --height 128

On MiniMarket with a tiny network from scratch; with --market on Market-1501 mini (REID_DATA names its place), with MobileNetV1
x0.25 from the ImageNet file WEIGHTS.

`whole` and `halved` are the same six runs, so their winners can be compared; `low-rate` is a baseline that is stalled by its
learning rate, a hundredth of the usual; `fault` one by a backbone whose features are detached, which no hyper-parameter repairs.
Runs go to FOLDER/<case>; started again they go on. Prints a table and the first lines of each BEST_MODEL_SELECTION.txt.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from machine import machine_line

ROOT = Path(__file__).parents[2]
RATE = 3.5e-4
SOLUTIONS = {
    "solution_1_higher_lr": "SOLVER: {{BASE_LR: 0.0007}}",
    "solution_2_cosine_annealing": "SOLVER: {{SCHED: CosineAnnealingLR}}",
    "solution_3_heavy_triplet": "MODEL: {{LOSSES: {{CE: {{SCALE: 0.3}}, TRI: {{SCALE: 2.0}}}}}}",
    "solution_4_aggressive_lr_drop": "SOLVER: {{BASE_LR: 0.001, STEPS: [{early}, {late}]}}",
    "solution_5_smaller_batch_higher_lr": "SOLVER: {{IMS_PER_BATCH: 8, BASE_LR: 0.001}}",
}
CASES = {  # base learning rate, is the backbone cut off, by halving
    "whole": (RATE, False, False),
    "halved": (RATE, False, True),
    "low-rate": (RATE / 100, False, True),
    "fault": (RATE, True, True),
}
BACKBONES = {False: "build_tiny_backbone", True: "benchmarks.halving.faulty_backbone:detached"}
MARKET_BACKBONES = {
    False: "benchmarks.protocol.quarter_mobilenet:build",
    True: "benchmarks.halving.faulty_backbone:detached_mobilenet",
}
MARKET = """\
DATASETS: {{NAMES: [Market1501Mini], TESTS: [Market1501Mini]}}
VALIDATION: {{HELD_OUT: 0.3}}
"""
BASE = """\
_BASE_: {demo}
MODEL: {{BACKBONE: {{NAME: "{backbone}", PRETRAIN: {is_pretrained}, PRETRAIN_PATH: "{weights}"}}}}
INPUT: {{SIZE_TRAIN: [{height}, {width}], SIZE_TEST: [{height}, {width}], PADDING: {{SIZE: 3}}}}
SOLVER: {{IMS_PER_BATCH: 16, BASE_LR: {rate}, SCHED: MultiStepLR, STEPS: [{first}, {second}], MAX_EPOCH: {epochs}}}
"""


def write_configs(folder: Path, case: str, *, epochs: int, height: int, weights: str) -> None:
    """Write the baseline and the five solutions, their milestones scaled from 90 epochs; with weights, on Market-1501 mini."""
    (folder / "solutions").mkdir(parents=True, exist_ok=True)
    scaled = {
        name: max(1, round(epoch * epochs / 90)) for name, epoch in (("first", 40), ("second", 70), ("early", 20), ("late", 50))
    }
    rate, is_cut_off, _ = CASES[case]
    backbone = (MARKET_BACKBONES if weights else BACKBONES)[is_cut_off]
    demo = (ROOT / "custom_configs" / "minimarket_demo.yml").as_posix()
    base = (BASE + MARKET * bool(weights)).format(
        demo=demo, backbone=backbone, is_pretrained=bool(weights), weights=weights, rate=rate, epochs=epochs, height=height,
        width=height // 2, **scaled,
    )  # fmt: skip
    (folder / "stalled.yml").write_text(base)
    for name, change in SOLUTIONS.items():
        (folder / "solutions" / f"{name}.yml").write_text(f"_BASE_: ../stalled.yml\n{change.format(**scaled)}\n")


def run(folder: Path, case: str) -> float:
    """Try all of them and return the seconds it took."""
    words = [str(folder / "solutions"), "--output-dir", str(folder / "runs"), *(["--halving"] if CASES[case][2] else [])]
    started = time.perf_counter()
    with (folder / "said.txt").open("a", encoding="utf-8") as stream:
        subprocess.run(
            [sys.executable, "-m", "unplateau.cli.main", "run-solutions", *words],
            stdout=stream,
            stderr=stream,
            check=False,
            cwd=ROOT,
        )
    return time.perf_counter() - started


def tell(folder: Path, case: str, seconds: float) -> list[str]:
    """Return what came of a case: a row, and the head of the text."""
    text = (folder / "runs" / "BEST_MODEL_SELECTION.txt").read_text(encoding="utf-8")
    record = json.loads((folder / "runs" / "selection.json").read_text(encoding="utf-8"))
    histories = sorted((folder / "runs").glob("solution_*/training_history.json"))
    epochs = sum(len(json.loads(path.read_text())["epochs"]) for path in histories)
    tests = ", ".join(f"{100 * test['mAP']:.1f}" for test in record["tests"]) or "-"
    helped = ", ".join(record["helped"]) or "none"
    row = f"| {case} | {record['winner'] or 'none'} | {epochs} | {helped} | {tests} | {seconds:.0f} |"
    head = text.split("\nWHY:")[0].strip().splitlines()
    every = text.split("EVERY RUN")[1].split("\n\n")[0].splitlines()[1:] if "EVERY RUN" in text else []
    runs = [line for line in every if ": mAP" in line or "no validated" in line]
    return [row, *(f"    {line}" for line in (*head, *runs))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--height", type=int, default=64)
    parser.add_argument("--market", type=Path, help="the ImageNet file of quarter_mobilenet: runs on Market-1501 mini")
    arguments = parser.parse_args()
    rows, details = [], []
    weights = arguments.market.resolve().as_posix() if arguments.market else ""
    for case in arguments.cases:
        folder = arguments.folder.resolve() / case
        write_configs(folder, case, epochs=arguments.epochs, height=arguments.height, weights=weights)
        row, *detail = tell(folder, case, run(folder, case))
        rows.append(row)
        details += ["", f"{case}:", "", *detail]
    print(f"{machine_line()}. {arguments.epochs} epochs a run at most, {arguments.height}x{arguments.height // 2} pixels.\n")
    print("| case | winner | epochs trained | helped | winner's test mAP | seconds by the clock |\n|---|---|---|---|---|---|")
    print("\n".join([*rows, *details]))


if __name__ == "__main__":
    main()
