"""What each probe costs on PlateauBench's healthy runs, beside the steps it is booked with, and what fits into 5 % of a run.

    python benchmarks/plateaubench/probe_costs.py --work FOLDER [--output benchmarks/results/probe_costs.md]

FOLDER holds the kept runs of `measure.py` (its --work, and below it the name of the recipe). Nothing is trained.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.machine import machine_line  # noqa: E402
from benchmarks.plateaubench.experiment import build  # noqa: E402
from unplateau.workflows.probing.budget import SHARE  # noqa: E402
from unplateau.workflows.probing.planned_probes import PLAN  # noqa: E402

_LENGTHS = (180, 1_000, 5_000, 12_000)  # steps; the last is Market-1501 for 60 epochs of 64 images


def main() -> None:
    """Read the kept healthy runs and write the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/probe_costs.md"))
    arguments = parser.parse_args()
    stories = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(arguments.work.rglob("healthy-base-*.json"))]
    step = float(np.median([story["seconds"]["training"] / story["log"][-1]["iteration"] for story in stories]))
    evaluator = build(seed=1).evaluator
    evaluation = (len(evaluator.query) + len(evaluator.gallery)) / (3 * 32)
    booked = {planned.name: planned.steps + planned.evaluations * evaluation for planned in PLAN}
    rows = ["| probe | booked, steps | measured, steps |", "|---|---|---|"]
    for planned in PLAN:
        seconds = [round_["seconds"] for story in stories for round_ in story["probes"] if round_["name"] == planned.name]
        rows.append(f"| {planned.name} | {booked[planned.name]:.0f} | {np.median(seconds) / step:.1f} |")
    fits = ["| steps of the run | allowed | probes that fit | left out |", "|---|---|---|---|"]
    for length in _LENGTHS:
        left, names = SHARE * length, []
        for planned in PLAN:
            if booked[planned.name] <= left:
                left -= booked[planned.name]
                names.append(planned.name)
        out = [planned.name for planned in PLAN if planned.name not in names]
        fits.append(f"| {length} | {SHARE * length:.0f} | {len(names)} of {len(PLAN)} | {', '.join(out) or 'none'} |")
    lines = [
        "# What probes cost", machine_line(),
        f"`benchmarks/plateaubench/probe_costs.py`: {len(stories)} healthy runs of PlateauBench, medians of processor seconds "
        f"over those of a training step ({1000 * step:.0f} ms, evaluation included).",
        "\n".join(rows), f"What `--probe` runs within {SHARE:.0%}, with this validation set:", "\n".join(fits),
    ]  # fmt: skip
    arguments.output.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    print("\n\n".join(lines))


if __name__ == "__main__":
    main()
