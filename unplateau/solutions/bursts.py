"""Short paired trials of solutions, judged: what each did on the same images from the same checkpoint, against a control.

Loss terms are compared where they mean the same: unweighted, on the same images, in batches of the same make-up. What decides is
the held-out mAP after the burst. Training the bursts: `unplateau.engine.burst`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unplateau.curves.noise import noise_of_residuals
from unplateau.curves.slope import robust_slope
from unplateau.curves.smoothing import FloatArray
from unplateau.curves.student import t_quantile

_FEWEST_BLOCKS = 4
_SLOPE_IMAGES = 1000  # slopes are told per so many images
_SAME_IMAGES_NOT = ("INPUT.", "DATALOADER.SAMPLER", "DATALOADER.NUM_INSTANCE", "DATASETS.", "SEED")
_OTHER_START = ("MODEL.BACKBONE.", "MODEL.WEIGHTS", "MODEL.HEADS.NUM_CLASSES")
_OTHER_MEANING = {
    "cross_entropy": ("MODEL.LOSSES.CE.EPSILON", "MODEL.LOSSES.CE.ALPHA", "MODEL.HEADS."),
    "triplet": ("MODEL.LOSSES.TRI.MARGIN", "MODEL.LOSSES.TRI.HARD_MINING", "MODEL.LOSSES.TRI.NORM_FEAT", "MODEL.HEADS.",
                "SOLVER.IMS_PER_BATCH"),
    "circle": ("MODEL.LOSSES.CIRCLE.MARGIN", "MODEL.LOSSES.CIRCLE.GAMMA", "MODEL.HEADS.", "SOLVER.IMS_PER_BATCH"),
    "center": ("MODEL.HEADS.",),
}  # fmt: skip


@dataclass(frozen=True)
class BurstCurve:
    """The unweighted loss terms of a burst, a value a step."""

    images_per_step: int
    terms: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class TermDifference:
    """A solution minus the control in one loss term, paired image by image."""

    name: str
    level: Interval
    """Mean over the second half of the burst."""
    slope: Interval
    """Change of the difference in 1000 images."""


@dataclass(frozen=True)
class BurstResult:
    """One solution's trial. Lower losses and a higher mAP are better."""

    name: str
    was_tried: bool
    note: str = ""
    """Why it was not tried, or what is not equal to the control."""
    num_images: int = 0
    num_steps: int = 0
    terms: tuple[TermDifference, ...] = ()
    map_before: float | None = None
    map_after: float | None = None
    control_map_after: float | None = None
    map_gain: Interval | None = None
    """Held-out mAP after the burst, solution minus control."""
    p_adjusted: float = 1.0
    """Of the gain, after Holm's correction over the solutions tried."""
    diverged: bool = False

    @property
    def verdict(self) -> str:
        """ "better", "worse", "not told apart" or "not tried"."""
        if not self.was_tried:
            return "not tried"
        if self.diverged:
            return "worse"
        if self.map_gain is None or self.p_adjusted > 0.05:
            return "not told apart"
        return "better" if self.map_gain.value > 0 else "worse"


def starts_elsewhere(delta: Mapping[str, Any]) -> bool:
    """Return whether a change is one of the initial weights or of the network, which no burst from a checkpoint can try."""
    return any(key.startswith(_OTHER_START) for key in delta)


def sees_same_images(delta: Mapping[str, Any]) -> bool:
    """Return whether a change leaves what is drawn alone; another batch size cuts the same images otherwise."""
    return not any(key.startswith(_SAME_IMAGES_NOT) for key in delta)


def comparable_terms(delta: Mapping[str, Any], names: Iterable[str]) -> tuple[str, ...]:
    """Return the loss terms that mean the same with and without a change.

    >>> comparable_terms({"SOLVER.IMS_PER_BATCH": 8}, ["cross_entropy", "triplet"])
    ('cross_entropy',)
    >>> comparable_terms({"MODEL.LOSSES.TRI.SCALE": 2.0}, ["cross_entropy", "triplet"])
    ('cross_entropy', 'triplet')
    """
    if not sees_same_images(delta):
        return ()
    known = [name for name in names if name in _OTHER_MEANING]
    return tuple(name for name in known if not any(key.startswith(_OTHER_MEANING[name]) for key in delta))


def paired_terms(control: BurstCurve, solution: BurstCurve, names: Sequence[str]) -> tuple[TermDifference, ...]:
    """Return solution minus control for some loss terms, over blocks of equal images.

    Args:
        control: the unchanged configuration.
        solution: the changed one; its steps may hold more or fewer images.
        names: terms to compare; those that one of the two lacks are left out.
    """
    images = math.lcm(control.images_per_step, solution.images_per_step)
    differences = []
    for name in names:
        if name in control.terms and name in solution.terms:
            apart = _paired(control, solution, name, images)
            if len(apart) >= _FEWEST_BLOCKS:
                differences.append(TermDifference(name, _level(apart), _slope(apart, images)))
    return tuple(differences)


def rerank(results: Sequence[BurstResult]) -> tuple[BurstResult, ...]:
    """Return the results with what proved better first and what proved worse last; the others keep their order."""
    place = {"better": 0, "not told apart": 1, "not tried": 1, "worse": 2}

    def key(result: BurstResult) -> tuple[int, float]:
        gain = result.map_gain.value if result.map_gain is not None and result.verdict in ("better", "worse") else 0.0
        return place[result.verdict], -gain

    return tuple(sorted(results, key=key))


def _paired(control: BurstCurve, solution: BurstCurve, name: str, images: int) -> FloatArray:
    """Differences of block means; a block is the fewest images that both take in whole steps."""
    means = [_block_means(curve.terms[name], images // curve.images_per_step) for curve in (control, solution)]
    num_blocks = min(len(mean) for mean in means)
    return means[1][:num_blocks] - means[0][:num_blocks]


def _block_means(values: Sequence[float], steps: int) -> FloatArray:
    whole = len(values) // steps * steps
    return np.asarray(values[:whole], dtype=float).reshape(-1, steps).mean(axis=1)


def _level(apart: FloatArray) -> Interval:
    """Mean of the second half; neighbouring steps are not independent, so the interval is widened for that."""
    half = apart[len(apart) // 2 :]
    value = float(half.mean())
    if len(half) < 2:
        return Interval(value, -math.inf, math.inf)
    inflation = noise_of_residuals(half - value).inflation
    effective = max(len(half) / inflation, 2.0)
    width = t_quantile(0.975, effective - 1) * float(half.std(ddof=1)) / math.sqrt(effective)
    return Interval(value, value - width, value + width)


def _slope(apart: FloatArray, images: int) -> Interval:
    scale = _SLOPE_IMAGES / images
    slope = robust_slope(range(len(apart)), apart)
    return Interval(slope.value * scale, slope.low * scale, slope.high * scale)
