"""What probes read on the healthy runs of PlateauBench, beside the thresholds that rules compare with.

    python benchmarks/plateaubench/readings.py --work FOLDER [--output benchmarks/results/probe_readings.md]

FOLDER holds the kept runs of `measure.py` (its --work, and below it the name of the recipe). Nothing is trained.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.machine import machine_line  # noqa: E402

Values = dict[tuple[str, str], float]


@dataclass(frozen=True)
class Reading:
    """One quantity that a rule looks at."""

    what: str
    threshold: str
    of: Callable[[Values], float | None]
    """From (name, group) -> value; None where it was not measured."""


def one(name: str, group: str = "") -> Callable[[Values], float | None]:
    """Return the measurement itself."""
    return lambda values: values.get((name, group))


def _overfit(values: Values) -> float | None:
    first, last, floor = (values.get((f"overfit_{name}", "")) for name in ("first_loss", "last_loss", "floor"))
    return None if first is None or last is None or floor is None or first - floor < 0.5 else (first - last) / (first - floor)


def _spread(values: Values) -> float | None:
    std, length, size = (values.get((name, "")) for name in ("feature_std", "feature_length", "feature_dim"))
    return None if std is None or not length or size is None else std * size**0.5 / length


def _ratio(above: tuple[str, str], below: tuple[str, str]) -> Callable[[Values], float | None]:
    def ratio(values: Values) -> float | None:
        top, bottom = values.get(above), values.get(below)
        return None if top is None or not bottom else top / bottom

    return ratio


def _cosine(values: Values) -> float | None:
    return min((value for (name, _), value in values.items() if name == "gradient_cosine"), default=None)


READINGS = (
    Reading("one batch by heart: share of the way to its floor", "below 0.5: batch-not-learnable", _overfit),
    Reading("spread of features over their length", "below 0.02: collapsed-embeddings", _spread),
    Reading("d' between people and within", "below 0.3: collapsed-embeddings", one("d_prime")),
    Reading("smallest cosine of two losses' gradients", "below -0.3: losses-in-conflict", _cosine),
    Reading(
        "labels of neighbours before training, times chance", "below 1.5: labels-not-of-images",
        _ratio(("label_agreement", "initial weights"), ("label_agreement_chance", "")),
    ),
    Reading("an image alone against in a batch", "above 0.05: evaluation-broken", one("batch_difference")),
    Reading(
        "rate of steepest descent over the run's", "above 300: learning-rate-too-low",
        _ratio(("rate_of_steepest_descent", ""), ("probed_rate", "")),
    ),
    Reading("running means off the batches', their deviations", "above 1.5: batch-norm-not-updated", one("running_mean_apart")),
    Reading("a step of Adam, in rates", "below 0.008 or above 0.5: steps-too-small, steps-too-large", one("step_over_rate")),
    Reading("augmented images to plain ones, usual distances", "above 1: augmentation-too-strong", one("looks_found_again")),
    Reading(
        "labels of look-alikes in the next epoch, times chance", "below 1.7: labels-change",
        _ratio(("same_label", "other epoch"), ("same_label_chance", "other epoch")),
    ),
    Reading("pairs of one label of one camera", "above 0.95: labels-of-cameras", one("same_camera_of_label")),
    Reading("training images found among their files", "below 0.7: images-not-of-files", one("images_found")),
    Reading("labels of the files they were found in", "below 0.9: labels-not-of-files", one("labels_of_file")),
    Reading("queries told from gallery by looks", "above 0.9: pictures-of-two-kinds",
            one("sets_told_apart", "queries | gallery")),
    Reading("modules that are not as configured", "above 0: model-not-as-configured", one("modules_differ")),
    Reading("largest difference of a module's output", "above 0.0001: model-not-as-configured", one("output_differs")),
    Reading("slope of the outputs against the gradient", "above 0.2: gradient-not-of-model", one("slope_apart")),
    Reading("updates that are left after 16 steps", "below 0.8: steps-undone", one("updates_kept")),
    Reading("updates the optimiser has counted, a step", "below 0.7: updates-are-rare", one("updates_over_steps")),
    Reading("gallery rows that are not the repetition's", "above 0.05: evaluation-not-repeated",
            one("evaluation_rows_differ", "gallery")),
    Reading("the total over the sum of its parts", "off 1 by 0.02: total-not-of-losses", one("total_over_parts")),
    Reading("layout of training and evaluation images", "below that turned over: preparation-differs", one("preparation_layout")),
    Reading("gap between trained and unseen people, mAP", "above 0.5: overfitting", one("train_identity_gap")),
)  # fmt: skip


def values_of(story: dict[str, Any]) -> Values:
    """Return the probes' numbers of a kept run; the last of equals counts."""
    lines = [line for probe in story["probes"] for line in probe["measurements"] if line.get("value") is not None]
    return {(line["name"], line.get("group", "")): float(line["value"]) for line in lines}


def row(reading: Reading, runs: list[Values]) -> str:
    """Return a line of the table: how many runs, and the spread of what they read."""
    found = np.array([value for value in map(reading.of, runs) if value is not None])
    if not len(found):
        return f"| {reading.what} | 0 | – | – | – | {reading.threshold} |"
    low, middle, high = (f"{number:.3g}" for number in (found.min(), np.median(found), found.max()))
    return f"| {reading.what} | {len(found)} | {low} | {middle} | {high} | {reading.threshold} |"


def main() -> None:
    """Read the kept healthy runs and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/probe_readings.md"))
    arguments = parser.parse_args()
    files = sorted(arguments.work.rglob("healthy-*.json"))
    runs = [values_of(json.loads(file.read_text(encoding="utf-8"))) for file in files]
    kinds = {file.stem.removeprefix("healthy-").rsplit("-", 1)[0] for file in files}
    lines = [
        "# What probes read on healthy runs", "",
        f"`benchmarks/plateaubench/readings.py`: {len(runs)} healthy runs of {len(kinds)} kinds of PlateauBench (MiniMarket at "
        "64 x 32, a network of half a million weights), probed at their end.", "", machine_line(), "",
        "| reading | runs | lowest | median | highest | a rule speaks |", "|---|---|---|---|---|---|",
        *(row(reading, runs) for reading in READINGS),
    ]  # fmt: skip
    text = "\n".join(lines) + "\n"
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
