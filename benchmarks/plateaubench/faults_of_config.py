"""Mistakes that stand in the configuration itself, where a change of configuration is the cure and can be trained.

All other faults are planted below the configuration. Here the configuration, and with it every fact that the diagnoser is told,
is wrong; nothing contradicts anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.plateaubench.experiment import Experiment
from benchmarks.plateaubench.fault import fault
from benchmarks.plateaubench.healthy import Healthy
from benchmarks.plateaubench.planning import Planned, from_file
from unplateau.base.errors import UsageError

_LOSSES, _HEADS = "MODEL.LOSSES", "MODEL.HEADS"
MISTAKES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("configured_rate_low", "learning-rate-too-low", {"SOLVER.BASE_LR": 1e-5}),
    ("configured_rate_high", "learning-rate-too-high no-warm-up", {"SOLVER.BASE_LR": 0.2}),
    ("configured_no_pk", "no-pk-sampling no-positives", {"DATALOADER.SAMPLER_TRAIN": "TrainingSampler"}),
    ("configured_smoothing", "label-smoothing-too-strong", {f"{_LOSSES}.CE.EPSILON": 0.95}),
    ("configured_decay", "weight-decay-too-strong", {"SOLVER.WEIGHT_DECAY": 0.5, "SOLVER.WEIGHT_DECAY_NORM": 0.5}),
    ("configured_weight", "loss-weights-unbalanced", {f"{_LOSSES}.TRI.SCALE": 100.0}),
    ("configured_no_ce", "cross-entropy-missing loss-weights-unbalanced", {f"{_LOSSES}.CE.SCALE": 0.0}),
    ("configured_cosine", "missing-cosine-scale", {f"{_HEADS}.CLS_LAYER": "CosineLinear", f"{_HEADS}.SCALE": 1.0}),
    ("configured_batch", "batch-too-small", {"SOLVER.IMS_PER_BATCH": 4, "DATALOADER.NUM_INSTANCE": 2}),
    ("configured_embedding", "embedding-too-small", {f"{_HEADS}.EMBEDDING_DIM": 2, f"{_HEADS}.NECK_FEAT": "after"}),
    ("configured_clipping", "gradient-clipped-away",
     {"SOLVER.CLIP_GRADIENTS.ENABLED": True, "SOLVER.CLIP_GRADIENTS.CLIP_VALUE": 1e-8}),
    ("configured_drops", "schedule-too-fast", {"SOLVER.STEPS": (1, 2, 3)}),
)  # fmt: skip
"""(name, right answers, what is changed in the recipe)."""


def nothing_below(experiment: Experiment) -> None:
    """The code does what the configuration says."""


def configured_plan(path: Path | None = None) -> tuple[Planned, ...]:
    """Return a run of each mistake, at seed 1: ours, or those in `MISTAKES` of somebody's file, in the same form.

    Raises:
        UsageError: the file is missing, or has none.
    """
    mistakes = MISTAKES if path is None else from_file(path, "MISTAKES", "--configured")
    if not mistakes:
        raise UsageError(f"--configured {path}: it needs MISTAKES, as in benchmarks/plateaubench/faults_of_config.py.")
    return tuple(
        Planned("fault", name, 1, fault(name, causes, nothing_below), healthy=Healthy(name, changes))
        for name, causes, changes in mistakes
    )
