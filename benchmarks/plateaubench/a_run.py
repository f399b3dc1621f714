"""The figures of one healthy run that docs/plateaubench.md gives under "A run".

    python benchmarks/plateaubench/a_run.py --work FOLDER [--output benchmarks/results/plateaubench_run.md]

FOLDER holds the kept runs of `measure.py` (its --work, and below it the name of the recipe). Nothing is trained; mAP before
training is scored on networks that are built anew.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.machine import machine_line  # noqa: E402
from benchmarks.plateaubench.experiment import Batches, Experiment, build  # noqa: E402


def counts(experiment: Experiment) -> list[str]:
    """Return what a run is made of, a line each."""
    weights = sum(parameter.numel() for parameter in experiment.model.parameters())
    evaluator, steps = experiment.evaluator, Batches(experiment).steps_per_epoch
    height, width = experiment.pictures.pixels_NCHW.shape[2:]
    return [
        f"- {len(experiment.train)} training images of {experiment.num_identities} identities at {height} x {width}",
        f"- {len(evaluator.query)} queries and {len(evaluator.gallery)} gallery images of "
        f"{len({item.person_id for item in evaluator.query})} other identities",
        f"- {weights:,} weights, {experiment.config.SOLVER.MAX_EPOCH} epochs of {steps} steps of "
        f"{experiment.config.SOLVER.IMS_PER_BATCH} images",
    ]


def spread(values: list[float], digits: int) -> str:
    """Return lowest, median and highest as text."""
    return f"{np.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main() -> None:
    """Read the kept runs of the base recipe and write the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/plateaubench_run.md"))
    arguments = parser.parse_args()
    stories = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(arguments.work.rglob("healthy-base-*.json"))]
    experiments = [build(seed=seed) for seed in range(1, 4)]
    before = [experiment.evaluator.score(experiment).metrics.mAP for experiment in experiments]
    seconds = [story["seconds"]["training"] for story in stories]
    step = [1000 * s / story["log"][-1]["iteration"] for s, story in zip(seconds, stories, strict=True)]
    lines = [
        "# One healthy run of PlateauBench", machine_line(),
        f"`benchmarks/plateaubench/a_run.py`: {len(stories)} kept runs of the base recipe, seeds 1 to {len(stories)}; median "
        "(lowest to highest). Processor seconds on one thread, evaluation once an epoch included; the machine was shared.",
        "\n".join(counts(experiments[0])),
        "\n".join([
            f"- mAP of held-out identities before training {spread(before, 3)} (seeds 1 to 3), at the end "
            f"{spread([story['final_map'] for story in stories], 3)}",
            f"- processor seconds {spread(seconds, 1)}, a step {spread(step, 0)} ms",
        ]),
    ]  # fmt: skip
    text = "\n\n".join(lines) + "\n"
    arguments.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
