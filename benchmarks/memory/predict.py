"""Memory of a training step and time of an epoch: as predicted? And what do the memory plans save and cost?

    python benchmarks/memory/predict.py [--only memory|plans|time] [--case NAME] [--pairs 3] [--rows FILE] [--write FILE]

Memory: the prediction of `doctor` (`engine.forecast`, tensors without content, times the slack of allocators) beside the growth
of resident memory, from before the network is built to the highest point of two steps, in a fresh process on the CPU. Plans: the
same for each plan, and processor seconds of a step. Time: the forecast of `unplateau doctor --config` beside real epochs of the
same configuration, in turn. One thread.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
ROOT = Path(__file__).resolve().parents[2]
MEGABYTE = 1e6


@dataclass(frozen=True)
class Case:
    """A network and the image size it is used with."""

    name: str
    backbone: dict[str, object]
    size: tuple[int, int]
    batches: tuple[int, int]


CASES = (
    Case("tiny (MiniMarket demo)", {"NAME": "unplateau.models.tiny:build_tiny_backbone"}, (128, 64), (32, 64)),
    Case("MobileNetV2", {"NAME": "mobilenetv2_100"}, (128, 64), (16, 64)),
    Case("OSNet x1.0", {"NAME": "build_osnet_backbone", "DEPTH": "x1_0"}, (256, 128), (8, 16)),
    Case("ResNet-50", {"NAME": "build_resnet_backbone", "DEPTH": "50x"}, (256, 128), (8, 16)),
)
PLANS = ("plain", "checkpoint", "2", "4")


def build(case: Case, batch_size: int, plan: str):  # type: ignore[no-untyped-def]
    """Return a training of drawn images, as a real one is made, and its first batch."""
    import torch

    from unplateau.engine.memory_plan import StepMemory, plan_named
    from unplateau.testing.tiny_problem import tiny_config, tiny_parts, tiny_problem

    sizes = {"SIZE_TRAIN": case.size, "SIZE_TEST": case.size}
    config = tiny_config(MODEL={"BACKBONE": case.backbone}, INPUT=sizes, SOLVER={"IMS_PER_BATCH": batch_size})
    problem = tiny_problem(num_identities=max(batch_size // 4, 8), images_each=4)
    images_NCHW = torch.nn.functional.interpolate(problem.images_NCHW, size=case.size)
    parts = tiny_parts(replace(problem, images_NCHW=images_NCHW), config)
    parts.model.to(memory_format=torch.channels_last).train()
    batch = next(iter(parts.train_loader.epoch(1)))
    batch = replace(batch, images_BCHW=batch.images_BCHW.contiguous(memory_format=torch.channels_last))
    return replace(parts, memory=StepMemory(plan_named(plan))), batch


def resident(field: str) -> int:
    """Return a field of this process's memory, VmRSS (now) or VmHWM (the most), in bytes."""
    with open("/proc/self/status", encoding="utf-8") as stream:
        return next(1024 * int(line.split()[1]) for line in stream if line.startswith(f"{field}:"))


def measure(case: Case, batch_size: int, plan: str) -> dict[str, float]:
    """Return the growth of resident memory over two steps, and processor seconds of the second; for a process of its own."""
    import torch

    from unplateau.engine.host_memory import hand_back_freed_memory, keep_freed_memory
    from unplateau.engine.train_step import train_step

    manage = keep_freed_memory if plan == "plain" else hand_back_freed_memory  # as a run does
    manage()
    torch.set_num_threads(1)
    warm_up = build(CASES[0], 8, "plain")  # what is loaded and allocated once, whatever the network, is no part of a step
    train_step(*warm_up)
    del warm_up
    before = resident("VmRSS")
    parts, batch = build(case, batch_size, plan)
    images = parts.train_loader.problem.images_NCHW  # the drawn data set, which no prediction knows
    train_step(parts, batch)
    started = time.process_time()
    train_step(parts, batch)
    grown = resident("VmHWM") - before - images.numel() * images.element_size()
    return {"bytes": grown, "seconds": time.process_time() - started, "before": before}


def predicted(case: Case, batch_size: int, plan: str) -> int:
    """Return what is predicted of the same step."""
    from unplateau.engine.forecast import forecast_memory
    from unplateau.engine.memory_plan import plan_named

    parts, batch = build(case, batch_size, "plain")
    [found] = forecast_memory(parts, batch, [plan_named(plan)])
    return found.peak_bytes  # of tensors; without what allocators keep


def in_fresh_process(case: Case, batch_size: int, plan: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", str(CASES.index(case)), str(batch_size), plan]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@dataclass
class Rows:
    """What was measured so far, kept in a file, so that a run that was broken off goes on."""

    path: Path | None

    def of(self, case: Case, batch_size: int, plan: str) -> tuple[int, dict[str, float]]:
        """Return the predicted bytes and what was measured, measuring it where that was not done before."""
        key = f"{case.name} {batch_size} {plan}"
        kept = json.loads(self.path.read_text(encoding="utf-8")) if self.path and self.path.exists() else {}
        if key not in kept:
            kept[key] = [predicted(case, batch_size, plan), in_fresh_process(case, batch_size, plan)]
            print(key, kept[key], flush=True)
            if self.path:
                self.path.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        return kept[key][0], kept[key][1]


def with_slack(bytes_of_tensors: int) -> float:
    """Return what `doctor` predicts for so many bytes of tensors."""
    from unplateau.workflows.forecast import ALLOCATOR_SLACK

    return ALLOCATOR_SLACK * bytes_of_tensors


def memory_table(rows: Rows, cases: Sequence[Case]) -> list[str]:
    lines = [
        "| network | images | batch | predicted, MB | measured, MB | predicted / measured | with the rest of the process |",
        "|---|---|---|---|---|---|---|",
    ]
    ratios, wholes, befores = [], [], []
    for case in cases:
        for batch_size in case.batches:
            bytes_of_tensors, found = rows.of(case, batch_size, "plain")
            bytes_predicted = with_slack(bytes_of_tensors)
            ratios.append(bytes_predicted / found["bytes"])
            befores.append(found["before"])
            wholes.append((bytes_predicted + befores[-1]) / (found["bytes"] + befores[-1]))
            sizes = f"{bytes_predicted / MEGABYTE:.0f} | {found['bytes'] / MEGABYTE:.0f}"
            lines.append(
                f"| {case.name} | {case.size[0]}x{case.size[1]} | {batch_size} | {sizes} | {ratios[-1]:.2f} | {wholes[-1]:.2f} |"
            )
    return [
        *lines,
        "",
        f"Ratios from {min(ratios):.2f} to {max(ratios):.2f}, median {statistics.median(ratios):.2f}; of the whole process from "
        f"{min(wholes):.2f} to {max(wholes):.2f}.",
        f"Before the network is built the process holds {statistics.median(befores) / MEGABYTE:.0f} MB.",
    ]


def plan_table(rows: Rows, cases: Sequence[Case]) -> list[str]:
    lines = [
        "| network | batch | plan | predicted, MB | measured, MB | predicted / measured | share of plain | "
        "processor time, share of plain |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in cases:
        batch_size = case.batches[1]
        _, plain = rows.of(case, batch_size, "plain")
        for plan in PLANS:
            bytes_of_tensors, found = rows.of(case, batch_size, plan)
            bytes_predicted = with_slack(bytes_of_tensors)
            shares = f"{found['bytes'] / plain['bytes']:.2f} | {found['seconds'] / plain['seconds']:.2f}"
            sizes = f"{bytes_predicted / MEGABYTE:.0f} | {found['bytes'] / MEGABYTE:.0f} | {bytes_predicted / found['bytes']:.2f}"
            lines.append(f"| {case.name} | {batch_size} | {plan} | {sizes} | {shares} |")
    return lines


def time_table(pairs: int) -> list[str]:
    """The MiniMarket demo: forecast, then two epochs; the second one counts."""
    code = (
        "import sys, json; from pathlib import Path; import torch; torch.set_num_threads(1);"
        "from unplateau.config.load import load; from unplateau.workflows.doctor import read_machine;"
        "from unplateau.workflows.forecast import forecast;"
        "config = load(Path(sys.argv[1])).config; f = forecast(config, read_machine(config, is_asked=False));"
        "print(json.dumps([f.seconds_a_step * f.steps_an_epoch, f.validation_seconds]))"
    )
    config = ROOT / "custom_configs" / "minimarket_demo.yml"
    lines = ["| pair | forecast: training, validation, s | real second epoch, s | forecast / real |", "|---|---|---|---|"]
    ratios = []
    for number in range(pairs):
        done = subprocess.run([sys.executable, "-c", code, str(config)], check=True, capture_output=True, text=True, cwd=ROOT)
        training, validation = json.loads(done.stdout.splitlines()[-1])
        with tempfile.TemporaryDirectory() as folder:
            overrides = ["SOLVER.MAX_EPOCH", "2", "SOLVER.STEPS", "[1]", "OUTPUT_DIR", folder, "VALIDATION.SCORE_TEST", "False"]
            script = [sys.executable, "train_research_grade.py", "--config-file", str(config), "--run-name", "real", *overrides]
            subprocess.run(script, check=True, capture_output=True, cwd=ROOT)
            rows = (Path(folder) / "real" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        real = json.loads(rows[-1])
        seconds = real["train_seconds"], real["validation_seconds"]
        ratios.append((training + validation) / sum(seconds))
        lines.append(f"| {number} | {training:.2f}, {validation:.2f} | {seconds[0]:.2f}, {seconds[1]:.2f} | {ratios[-1]:.2f} |")
        print(lines[-1], flush=True)
    return [*lines, "", f"Median ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})."]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("memory", "plans", "time"))
    parser.add_argument("--case", action="append", help="part of a network's name; all networks without it")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--rows", type=Path, help="keep what was measured in this file, and measure only what it lacks")
    parser.add_argument("--measure", nargs=3, metavar=("CASE", "BATCH", "PLAN"))
    arguments = parser.parse_args()
    if arguments.measure:
        case, batch_size, plan = arguments.measure
        print(json.dumps(measure(CASES[int(case)], int(batch_size), plan)))
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    from benchmarks.machine import machine_line

    rows = Rows(arguments.rows)
    cases = [case for case in CASES if not arguments.case or any(part in case.name for part in arguments.case)]
    tables = {
        "memory": lambda: memory_table(rows, cases),
        "plans": lambda: plan_table(rows, cases),
        "time": lambda: time_table(arguments.pairs),
    }
    titles = {
        "memory": "## Memory of a step, predicted and measured",
        "plans": "## The memory plans",
        "time": "## Time of an epoch of MiniMarket, predicted and real",
    }
    lines = ["# Small cards: memory and time, predicted and measured", "", machine_line(), "", __doc__.split("\n\n")[-1].strip()]
    for name in [arguments.only] if arguments.only else list(tables):
        lines += ["", titles[name], "", *tables[name]()]
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
