"""What published re-ID recipes set, key by key: from where on a value is out of the ordinary, and what that does.

Ranges are wide: ten times around published values for rates and weights. Only what stands in a configuration is judged here;
whether the training does what it says is for the probes.

Source
    Luo et al. 2019 (bag of tricks), fast-reid's Base-bagtricks, TransReID, reid-strong-baseline; Zhong et al. 2017 (erasing).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from unplateau.config.schema_model import IMAGENET_MEAN, IMAGENET_STD
from unplateau.diagnosis.schedule_view import USUAL_RATES
from unplateau.runs.foreign_logs.training_log import LogFacts

Settings = Mapping[str, Any]
_HEADS, _LOSSES = "MODEL.HEADS", "MODEL.LOSSES"
EARLIEST_DROP = 0.15  # of the epochs
FEWEST_PEOPLE, IMAGES_EACH = 8, 4  # in a batch; of a person in a batch
_ADAMS = ("Adam", "AdamW", "NAdam", "RAdam", "Adamax")
_LARGEST = 1e300  # written beyond it, a number means nothing
_PK = ("NaiveIdentitySampler", "BalancedIdentitySampler", "SetReWeightSampler", "ImbalanceSampler")


@dataclass(frozen=True)
class Usual:
    """The range of one setting in recipes that work."""

    key: str
    least: float
    most: float
    published: Any
    """What to set instead; None = `otherwise` says."""
    too_low: tuple[str, ...] = ()
    """Causes of a value below the range; none = below is harmless."""
    too_high: tuple[str, ...] = ()
    unit: str = ""
    of: Callable[[Settings, LogFacts], float | None] | None = None
    """What is compared, where it is not the value itself; None where it does not apply."""
    otherwise: Callable[[Settings, LogFacts], Mapping[str, Any]] | None = None
    """Keys and values to set instead."""

    def value(self, settings: Settings, facts: LogFacts) -> float | None:
        """Return what is compared with the range; None where the setting is not in force or not known."""
        if self.of is not None:
            return self.of(settings, facts)
        return number(settings, self.key)

    def causes(self, value: float) -> tuple[str, ...]:
        """Return what the value does; nothing within the range."""
        return self.too_low if value < self.least else self.too_high if value > self.most else ()

    def instead(self, settings: Settings, facts: LogFacts) -> dict[str, Any]:
        """Return dotted keys with the values to set."""
        wanted = self.otherwise(settings, facts) if self.otherwise else {self.key: self.published}
        return {key: value for key, value in wanted.items() if settings.get(key) != value}

    def factor(self, value: float) -> float:
        """How far out of the range it is, as a factor of 1 or more."""
        limit = self.least if value < self.least else self.most
        return math.inf if not value or not limit or value * limit < 0 else max(value / limit, limit / value)


def number(settings: Settings, key: str) -> float | None:
    """Return a finite number among the settings; None where there is none."""
    found = numbers(settings, key)
    return found[0] if found is not None and len(found) == 1 else None


def numbers(settings: Settings, key: str) -> tuple[float, ...] | None:
    """Return finite numbers among the settings, one or several; None where there are none, or anything else."""
    value = settings.get(key)
    several = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not several or not all(isinstance(one, int | float) and not isinstance(one, bool) for one in several):
        return None
    found = tuple(float(one) for one in several if abs(one) < _LARGEST)
    return found if len(found) == len(several) else None


def _with(optimisers: tuple[str, ...], key: str) -> Callable[[Settings, LogFacts], float | None]:
    return lambda settings, _: number(settings, key) if settings.get("SOLVER.OPT") in optimisers else None


def _where(switch: str, key: str) -> Callable[[Settings, LogFacts], float | None]:
    return lambda settings, _: number(settings, key) if settings.get(switch) is True else None


def _loss(name: str, key: str) -> Callable[[Settings, LogFacts], float | None]:
    return lambda settings, _: number(settings, key) if name in (settings.get(f"{_LOSSES}.NAME") or ()) else None


def _all_steps(settings: Settings, facts: LogFacts) -> float | None:
    epochs = number(settings, "SOLVER.MAX_EPOCH")
    return epochs * facts.iterations_per_epoch if epochs and facts.iterations_per_epoch else None


def _share_of_steps(key: str, *, where: str = "") -> Callable[[Settings, LogFacts], float | None]:
    def share(settings: Settings, facts: LogFacts) -> float | None:
        steps, value = _all_steps(settings, facts), number(settings, key)
        return value / steps if steps and value is not None and (not where or settings.get(where)) else None

    return share


def _first_drop(settings: Settings, _: LogFacts) -> float | None:
    drops, epochs = numbers(settings, "SOLVER.STEPS"), number(settings, "SOLVER.MAX_EPOCH")
    return min(drops) / epochs if settings.get("SOLVER.SCHED") == "MultiStepLR" and drops and epochs else None


def _of_drops(settings: Settings, _: LogFacts) -> float | None:
    return number(settings, "SOLVER.GAMMA") if settings.get("SOLVER.SCHED") == "MultiStepLR" else None


def _people(settings: Settings, _: LogFacts) -> float | None:
    batch, each = number(settings, "SOLVER.IMS_PER_BATCH"), number(settings, "DATALOADER.NUM_INSTANCE")
    return batch / each if batch and each and settings.get("DATALOADER.SAMPLER_TRAIN") in _PK else None


def _padding(settings: Settings, _: LogFacts) -> float | None:
    size, image = number(settings, "INPUT.PADDING.SIZE"), numbers(settings, "INPUT.SIZE_TRAIN")
    if settings.get("INPUT.PADDING.ENABLED") is not True or size is None or image is None or min(image) <= 0:
        return None
    return size / min(image)


def _largest_pixel(settings: Settings, _: LogFacts) -> float | None:
    mean = numbers(settings, "MODEL.PIXEL_MEAN")
    return None if mean is None else max(mean)


def _smallest_deviation(settings: Settings, _: LogFacts) -> float | None:
    deviation = numbers(settings, "MODEL.PIXEL_STD")
    return None if deviation is None else min(deviation)


def _scale(settings: Settings, _: LogFacts) -> float | None:
    return None if settings.get(f"{_HEADS}.CLS_LAYER") in (None, "Linear") else number(settings, f"{_HEADS}.SCALE")


def _triplet_over_identity(settings: Settings, facts: LogFacts) -> float | None:
    return facts.triplet_weight / facts.cross_entropy_weight if facts.triplet_weight and facts.cross_entropy_weight else None


def _least_rate(settings: Settings, _: LogFacts) -> float | None:
    least, base = number(settings, "SOLVER.ETA_MIN_LR"), number(settings, "SOLVER.BASE_LR")
    return least / base if settings.get("SOLVER.SCHED") == "CosineAnnealingLR" and least and base else None


def _more_people(settings: Settings, _: LogFacts) -> dict[str, Any]:
    batch, each = number(settings, "SOLVER.IMS_PER_BATCH") or 0.0, number(settings, "DATALOADER.NUM_INSTANCE") or 1.0
    kept = int(min(each, IMAGES_EACH))
    return {"DATALOADER.NUM_INSTANCE": kept, "SOLVER.IMS_PER_BATCH": kept * max(FEWEST_PEOPLE, math.ceil(batch / kept))}


def _shorter_warm_up(settings: Settings, facts: LogFacts) -> dict[str, Any]:
    return {"SOLVER.WARMUP_ITERS": round(_WARM_UP * (_all_steps(settings, facts) or 0.0)), "SOLVER.WARMUP_METHOD": "linear"}


def _more_steps(settings: Settings, facts: LogFacts) -> dict[str, Any]:
    batch, each = number(settings, "SOLVER.IMS_PER_BATCH") or 64.0, number(settings, "DATALOADER.NUM_INSTANCE") or 1.0
    wanted = int(max(4, round(batch * (facts.iterations_per_epoch or 1) / _STEPS_AN_EPOCH / each)) * each)
    return {"SOLVER.IMS_PER_BATCH": wanted} if wanted < batch else {}


def _less_padding(settings: Settings, _: LogFacts) -> dict[str, Any]:
    return {"INPUT.PADDING.SIZE": max(1, round(_PADDED * min(numbers(settings, "INPUT.SIZE_TRAIN") or (128.0,))))}


def _scale_of_people(_: Settings, facts: LogFacts) -> dict[str, Any]:
    return {f"{_HEADS}.SCALE": cosine_scale(facts.num_identities)} if facts.num_identities else {f"{_HEADS}.SCALE": 16.0}


def cosine_scale(num_identities: int) -> float:
    """Return the scale of cosines for I people: sqrt(2) ln(I - 1), Zhang et al. 2019 (AdaCos), equation 16.

    >>> cosine_scale(751)
    9.4
    """
    return max(_LEAST_SCALE, round(math.sqrt(2) * math.log(max(num_identities - 1, 2)), 1))


def _descending(_: Settings, __: LogFacts) -> dict[str, Any]:
    return {"SOLVER.SCHED": "CosineAnnealingLR"}


def _of_imagenet(_: Settings, __: LogFacts) -> dict[str, Any]:
    return {"MODEL.PIXEL_MEAN": list(IMAGENET_MEAN), "MODEL.PIXEL_STD": list(IMAGENET_STD)}


_LEAST_SCALE = 4.0  # of cosines
_WARM_UP, _STEPS_AN_EPOCH, _PADDED = 0.1, 12, 10 / 128  # of all steps; fewest; of the shorter side
_LOW, _HIGH = ("learning-rate-too-low",), ("learning-rate-too-high", "no-warm-up")
_AUGMENTED, _WEIGHTS, _NORMAL = ("augmentation-too-strong",), ("loss-weights-unbalanced",), ("inputs-not-normalised",)
_NONE, _ANY = -math.inf, math.inf

USUAL: tuple[Usual, ...] = (
    Usual("SOLVER.BASE_LR", 3.5e-5, 5e-3, USUAL_RATES["Adam"], _LOW, _HIGH, of=_with(_ADAMS, "SOLVER.BASE_LR")),
    Usual("SOLVER.BASE_LR", 5e-3, 0.3, USUAL_RATES["SGD"], _LOW, _HIGH, of=_with(("SGD",), "SOLVER.BASE_LR")),
    Usual("SOLVER.HEADS_LR_FACTOR", 0.5, 20, 1.0, _LOW, _HIGH),
    Usual("SOLVER.BIAS_LR_FACTOR", 0.1, 10, 1.0, _LOW, _HIGH),
    Usual("SOLVER.MOMENTUM", 0.5, 0.98, 0.9, _LOW, _HIGH, of=_with(("SGD",), "SOLVER.MOMENTUM")),
    Usual("SOLVER.WARMUP_ITERS", _NONE, 0.6, None, too_high=_LOW, unit="times all steps of the run",
          of=_share_of_steps("SOLVER.WARMUP_ITERS"),
          otherwise=_shorter_warm_up),
    Usual("SOLVER.STEPS", EARLIEST_DROP, 0.999, None, ("schedule-too-fast",), ("schedule-never-steps",), "of the epochs",
          _first_drop, _descending),
    Usual("SOLVER.GAMMA", 0.02, 0.7, 0.1, ("learning-rate-too-low",), ("schedule-never-steps",), of=_of_drops),
    Usual("SOLVER.ETA_MIN_LR", _NONE, 0.3, 1e-7, too_high=("schedule-never-steps",), unit="of the base rate", of=_least_rate),
    Usual("SOLVER.WEIGHT_DECAY", _NONE, 5e-3, 5e-4, too_high=("weight-decay-too-strong",),
          of=_with(("Adam", "SGD"), "SOLVER.WEIGHT_DECAY")),
    Usual("SOLVER.WEIGHT_DECAY", _NONE, 0.5, 0.01, too_high=("weight-decay-too-strong",),
          of=_with(("AdamW",), "SOLVER.WEIGHT_DECAY")),
    Usual("SOLVER.CLIP_GRADIENTS.CLIP_VALUE", 0.05, _ANY, 5.0, ("gradient-clipped-away",),
          of=_where("SOLVER.CLIP_GRADIENTS.ENABLED", "SOLVER.CLIP_GRADIENTS.CLIP_VALUE")),
    Usual("SOLVER.FREEZE_ITERS", _NONE, 0.5, 0, too_high=("layers-frozen", "backbone-frozen"), unit="times all steps of the run",
          of=_share_of_steps("SOLVER.FREEZE_ITERS", where="MODEL.FREEZE_LAYERS")),
    Usual("SOLVER.IMS_PER_BATCH", 5, _ANY, None, _LOW, unit="steps an epoch", of=lambda _, facts: facts.iterations_per_epoch,
          otherwise=_more_steps),
    Usual("DATALOADER.NUM_INSTANCE", 4, _ANY, None, ("batch-too-small",), unit="people a batch", of=_people,
          otherwise=_more_people),
    Usual("INPUT.REA.PROB", _NONE, 0.8, 0.5, too_high=_AUGMENTED, of=_where("INPUT.REA.ENABLED", "INPUT.REA.PROB")),
    *(Usual(f"INPUT.CJ.{name}", _NONE, 0.45, 0.15, too_high=_AUGMENTED, of=_where("INPUT.CJ.ENABLED", f"INPUT.CJ.{name}"))
      for name in ("BRIGHTNESS", "CONTRAST", "SATURATION")),
    Usual("INPUT.FLIP.PROB", _NONE, 0.8, 0.5, too_high=("evaluation-preprocessing", "augmentation-too-strong"),
          of=_where("INPUT.FLIP.ENABLED", "INPUT.FLIP.PROB")),
    Usual("INPUT.CJ.HUE", _NONE, 0.2, 0.1, too_high=_AUGMENTED, of=_where("INPUT.CJ.ENABLED", "INPUT.CJ.HUE")),
    Usual("INPUT.PADDING.SIZE", _NONE, 0.16, None, too_high=_AUGMENTED, unit="of the image's shorter side", of=_padding,
          otherwise=_less_padding),
    Usual(f"{_HEADS}.EMBEDDING_DIM", 32, _ANY, 0, ("embedding-too-small",),
          of=lambda settings, _: number(settings, f"{_HEADS}.EMBEDDING_DIM") or None),
    Usual(f"{_HEADS}.SCALE", _LEAST_SCALE, 128, None, ("missing-cosine-scale",), ("missing-cosine-scale",), of=_scale,
          otherwise=_scale_of_people),
    Usual(f"{_LOSSES}.CE.EPSILON", _NONE, 0.45, 0.1, too_high=("label-smoothing-too-strong",),
          of=_loss("CrossEntropyLoss", f"{_LOSSES}.CE.EPSILON")),
    Usual(f"{_LOSSES}.TRI.SCALE", _NONE, 20, 1.0, too_high=_WEIGHTS, unit="times the cross-entropy's", of=_triplet_over_identity),
    Usual(f"{_LOSSES}.TRI.MARGIN", _NONE, 3, 0.3, too_high=("margin-wrong",), of=_loss("TripletLoss", f"{_LOSSES}.TRI.MARGIN")),
    Usual(f"{_LOSSES}.CIRCLE.GAMMA", 16, 512, 128, _WEIGHTS, _WEIGHTS, of=_loss("CircleLoss", f"{_LOSSES}.CIRCLE.GAMMA")),
    Usual(f"{_LOSSES}.CENTER.SCALE", _NONE, 0.01, 5e-4, too_high=_WEIGHTS, of=_loss("CenterLoss", f"{_LOSSES}.CENTER.SCALE")),
    Usual("MODEL.PIXEL_MEAN", 2, _ANY, None, _NORMAL, unit="in the largest channel", of=_largest_pixel,
          otherwise=_of_imagenet),
    Usual("MODEL.PIXEL_STD", 2, _ANY, None, _NORMAL, unit="in the smallest channel", of=_smallest_deviation,
          otherwise=_of_imagenet),
)  # fmt: skip
"""One entry a setting; the first of a key that applies counts."""
