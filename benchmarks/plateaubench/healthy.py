"""Healthy trainings of many kinds: nothing is wrong with them, so whatever is said to be wrong is a false alarm.

Each kind is a change of the recipe (dotted keys), with a score it has to reach to count as healthy at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_CE, _TRIPLET = "CrossEntropyLoss", "TripletLoss"
_LOSSES, _HEADS, _SOLVER = "MODEL.LOSSES", "MODEL.HEADS", "SOLVER"


@dataclass(frozen=True)
class Healthy:
    """One kind."""

    name: str
    changes: dict[str, Any]


def _solver(**values: Any) -> dict[str, Any]:
    return {f"{_SOLVER}.{name}": value for name, value in values.items()}


HEALTHY: tuple[Healthy, ...] = (
    Healthy("base", {}),
    Healthy("converged", _solver(MAX_EPOCH=26, STEPS=(10,))),
    Healthy("flat_before_drop", _solver(MAX_EPOCH=20, STEPS=(19,))),
    Healthy("sgd", _solver(OPT="SGD", BASE_LR=0.05, WEIGHT_DECAY=5e-4)),
    Healthy("no_smoothing", {f"{_LOSSES}.CE.EPSILON": 0.0}),
    Healthy("cross_entropy_shuffled", {f"{_LOSSES}.NAME": (_CE,), "DATALOADER.SAMPLER_TRAIN": "TrainingSampler"}),
    Healthy("small_batch", _solver(IMS_PER_BATCH=16, BASE_LR=1e-3)),
    Healthy("cosine_head", {f"{_HEADS}.CLS_LAYER": "CosineLinear", f"{_HEADS}.SCALE": 16.0}),
    Healthy("triplet_only", {f"{_LOSSES}.NAME": (_TRIPLET,), f"{_LOSSES}.TRI.MARGIN": 0.0, f"{_HEADS}.WITH_BNNECK": False}),
    Healthy("cosine_schedule", _solver(SCHED="CosineAnnealingLR")),
    Healthy("adamw", _solver(OPT="AdamW", WEIGHT_DECAY=0.05)),
    Healthy("large_batch", _solver(IMS_PER_BATCH=64, MAX_EPOCH=18, STEPS=(13,), BASE_LR=3e-3)),
    Healthy("smoothing_0.3", {f"{_LOSSES}.CE.EPSILON": 0.3}),
    Healthy("soft_margin", {f"{_LOSSES}.TRI.MARGIN": 0.0}),
    Healthy("normed_triplet", {f"{_LOSSES}.TRI.NORM_FEAT": True}),
    Healthy("all_triplets", {f"{_LOSSES}.TRI.HARD_MINING": False}),
    Healthy("circle", {f"{_LOSSES}.NAME": (_CE, "CircleLoss"), f"{_LOSSES}.CIRCLE.SCALE": 0.05}),
    Healthy("arcface", {f"{_HEADS}.CLS_LAYER": "ArcSoftmax", f"{_HEADS}.SCALE": 16.0, f"{_HEADS}.MARGIN": 0.1}),
    Healthy("neck_after", {f"{_HEADS}.NECK_FEAT": "after"}),
    Healthy("no_neck", {f"{_HEADS}.WITH_BNNECK": False}),
    Healthy("embedding_64", {f"{_HEADS}.EMBEDDING_DIM": 64}),
    Healthy("gem", {f"{_HEADS}.POOL_LAYER": "GeneralizedMeanPoolingP"}),
    Healthy("max_pooling", {f"{_HEADS}.POOL_LAYER": "GlobalMaxPool"}),
    Healthy("k_2", {"DATALOADER.NUM_INSTANCE": 2}),
    Healthy("k_8", {"DATALOADER.NUM_INSTANCE": 8}),
    Healthy("balanced_cameras", {"DATALOADER.SAMPLER_TRAIN": "BalancedIdentitySampler"}),
    Healthy("erasing", {"INPUT.REA.ENABLED": True}),
    Healthy("no_augmentation", {"INPUT.FLIP.ENABLED": False, "INPUT.PADDING.ENABLED": False}),
    Healthy("low_rate_long", _solver(BASE_LR=7e-4, MAX_EPOCH=20, STEPS=(15,))),
    Healthy("high_rate", _solver(BASE_LR=4e-3)),
    Healthy("clipped", {"SOLVER.CLIP_GRADIENTS.ENABLED": True, "SOLVER.CLIP_GRADIENTS.CLIP_VALUE": 5.0}),
    Healthy("no_decay", _solver(WEIGHT_DECAY=0.0, WEIGHT_DECAY_NORM=0.0, WEIGHT_DECAY_BIAS=0.0)),
    Healthy("two_drops", _solver(STEPS=(6, 10))),
    Healthy("long_warm_up", _solver(WARMUP_ITERS=90)),
    Healthy("light_triplet", {f"{_LOSSES}.TRI.SCALE": 0.3}),
)
QUICK = 10
"""The first so many kinds are part of --quick."""
