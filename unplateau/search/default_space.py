"""The default search space, made for re-ID around a base configuration: what decides whether a re-ID recipe works.

Ranges are those in which published recipes lie (Luo et al. 2019; Hermans et al. 2017; Zhong et al. 2017; He et al. 2020), widened
where the base lies outside, so that the base and the five solutions are points of the space.
"""

from __future__ import annotations

from typing import Any

from unplateau.config.delta import flatten
from unplateau.config.schema import Config
from unplateau.search.space import Choice, Number, Parameter, Space
from unplateau.solutions.asked_for import ASKED_FOR

_USUAL_RATE = 3.5e-4  # Adam, batch 64: Luo et al. 2019
_RATE_FACTOR = 10.0
_POOLINGS = ("GlobalAvgPool", "GlobalMaxPool", "AdaptiveAvgMaxPool", "GeneralizedMeanPooling")
_IMAGES_PER_IDENTITY = (2, 4, 8)
_STANDARD_DROPS = (40 / 90, 70 / 90)  # of the epochs, as in the bag of tricks


def default_space(config: Config) -> Space:
    """Return learning rate, schedule, batch P x K, loss weights, margin, smoothing, decay, warm-up, augmentation and pooling.

    What the base does not use is left out: no margin without a triplet loss, no P x K without identity sampling, no pooling
    for a backbone that gives vectors.
    """
    rate = config.SOLVER.BASE_LR or _USUAL_RATE
    warmup = max(2 * config.SOLVER.WARMUP_ITERS, 20)
    parameters: list[Parameter] = [
        Number("SOLVER.BASE_LR", rate / _RATE_FACTOR, rate * _RATE_FACTOR, is_log=True),
        _schedule(config),
        _batch(config),
        *_losses(config),
        _around(config, "SOLVER.WEIGHT_DECAY", 1e-5, 5e-3, is_log=True),
        Number("SOLVER.WARMUP_ITERS", 0, warmup, is_whole=True),
        Number("INPUT.REA.PROB", 0.0, 0.8, also={"INPUT.REA.ENABLED": True}),
        Number("INPUT.CJ.PROB", 0.0, 0.8, also={"INPUT.CJ.ENABLED": True}),
    ]
    if config.MODEL.HEADS.POOL_LAYER != "Identity":
        names = dict.fromkeys((*_POOLINGS, config.MODEL.HEADS.POOL_LAYER))
        parameters.append(Choice("MODEL.HEADS.POOL_LAYER", {name: {"MODEL.HEADS.POOL_LAYER": name} for name in names}))
    return Space(tuple(part for part in parameters if part.num_values != 1))


def _schedule(config: Config) -> Choice:
    """A cosine, or drops: where the base has them, where they usually are, and where solution 4 has them."""
    epochs = config.SOLVER.MAX_EPOCH
    aggressive = next(asked for asked in ASKED_FOR if "SOLVER.STEPS" in asked.change(config))
    own = [tuple(config.SOLVER.STEPS)] if config.SOLVER.SCHED == "MultiStepLR" else []
    usual = tuple(sorted({max(1, round(share * epochs)) for share in _STANDARD_DROPS}))
    options: dict[str, dict[str, Any]] = {"cosine": {"SOLVER.SCHED": "CosineAnnealingLR"}}
    for steps in (*own, usual, tuple(aggressive.change(config)["SOLVER.STEPS"])):
        options[f"drops at {', '.join(map(str, steps))}"] = {"SOLVER.SCHED": "MultiStepLR", "SOLVER.STEPS": list(steps)}
    return Choice("schedule", options)


def _batch(config: Config) -> Choice:
    """Half, the same and twice the images, and with identity sampling as P identities x K images of each."""
    size, own = config.SOLVER.IMS_PER_BATCH, config.DATALOADER.NUM_INSTANCE
    sizes = [size // 2, size, 2 * size]
    if config.DATALOADER.SAMPLER_TRAIN == "TrainingSampler":
        return Choice("SOLVER.IMS_PER_BATCH", {str(one): {"SOLVER.IMS_PER_BATCH": one} for one in sizes if one >= 2})
    counts = sorted({own, *_IMAGES_PER_IDENTITY})
    pairs = [(one // count, count) for one in sizes for count in counts if one % count == 0 and one // count >= 2]
    fixed = [(size // own, own)] if size // own >= 2 else []
    options = {
        f"{persons}x{count}": {"SOLVER.IMS_PER_BATCH": persons * count, "DATALOADER.NUM_INSTANCE": count}
        for persons, count in dict.fromkeys((*fixed, *pairs))
    }
    return Choice("batch", options)


def _losses(config: Config) -> list[Parameter]:
    names, losses = config.MODEL.LOSSES.NAME, config.MODEL.LOSSES
    found: list[Parameter] = []
    if "CrossEntropyLoss" in names:
        found += [_around(config, "MODEL.LOSSES.CE.SCALE", 0.3, 1.0, is_log=True)] if len(names) > 1 else []
        found.append(_around(config, "MODEL.LOSSES.CE.EPSILON", 0.0, 0.3))
    if "TripletLoss" in names:
        found.append(_around(config, "MODEL.LOSSES.TRI.SCALE", 0.25, 4.0, is_log=True))
        found += [_around(config, "MODEL.LOSSES.TRI.MARGIN", 0.1, 1.0)] if losses.TRI.MARGIN else []  # 0 is the soft margin
    if "CircleLoss" in names:
        found.append(_around(config, "MODEL.LOSSES.CIRCLE.SCALE", 0.25, 4.0, is_log=True))
        found.append(_around(config, "MODEL.LOSSES.CIRCLE.MARGIN", 0.1, 0.5))
    return found


def _around(config: Config, key: str, low: float, high: float, *, is_log: bool = False) -> Number:
    """The limits, widened to take the base in."""
    own = float(flatten(config)[key])
    if is_log and own <= 0:
        return Number(key, low, high, is_log=True)
    return Number(key, min(low, own), max(high, own), is_log=is_log)
