"""The five solutions that were asked for, as changes of the run's own configuration.

On the run they were asked for (LR 0.00035, batch 16, 90 epochs) the values are exactly those asked for; on other runs rates and
batch keep the asked proportions, and drops the asked epochs as long as they fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from unplateau.config.schema import Config

CONTROL = "solution_0_control"
"""Name of the run that the solutions are changes of: the stalled configuration as it is, in a trainer that works."""
_ASKED_BASE_RATE = 0.00035
_ASKED_EPOCHS = 90


@dataclass(frozen=True)
class Asked:
    """One of the five: file name, hypothesis and expectation in the asker's words, change."""

    name: str
    hypothesis: str
    expected: str
    change: Callable[[Config], dict[str, Any]]
    treats: tuple[str, ...]
    """Codes of findings for which it is a cure."""
    remark: str = ""


def _higher_rate(config: Config) -> dict[str, Any]:
    return {"SOLVER.BASE_LR": _scaled(config, 0.0007)}


def _cosine(config: Config) -> dict[str, Any]:
    return {"SOLVER.SCHED": "CosineAnnealingLR"}


def _heavy_triplet(config: Config) -> dict[str, Any]:
    return {"MODEL.LOSSES.CE.SCALE": 0.3, "MODEL.LOSSES.TRI.SCALE": 2.0}


def _early_drops(config: Config) -> dict[str, Any]:
    epochs = config.SOLVER.MAX_EPOCH
    steps = [20, 50] if epochs > 50 else sorted({max(1, round(step * epochs / _ASKED_EPOCHS)) for step in (20, 50)})
    return {"SOLVER.SCHED": "MultiStepLR", "SOLVER.STEPS": steps, "SOLVER.BASE_LR": _scaled(config, 0.001)}


def _smaller_batch(config: Config) -> dict[str, Any]:
    step = config.DATALOADER.NUM_INSTANCE if "Identity" in config.DATALOADER.SAMPLER_TRAIN else 1
    batch = max(2 * step, config.SOLVER.IMS_PER_BATCH // 2 // step * step)
    return {"SOLVER.IMS_PER_BATCH": max(2, batch), "SOLVER.BASE_LR": _scaled(config, 0.001)}


def _scaled(config: Config, asked_rate: float) -> float:
    return float(f"{config.SOLVER.BASE_LR * asked_rate / _ASKED_BASE_RATE:.3g}")


ASKED_FOR: tuple[Asked, ...] = (
    Asked("solution_1_higher_lr", "The learning rate is too low: twice the rate is the direct answer.", "CE 6.7 -> 5.5-6.0",
          _higher_rate, ("learning-rate-too-low", "weights-barely-move")),
    Asked("solution_2_cosine_annealing", "Fixed steps do not suit the data: a smooth descent instead of drops.",
          "continuous improvement", _cosine, ("plateau", "before-drop")),
    Asked("solution_3_heavy_triplet", "Cross-entropy outweighs the triplet loss: focus on the metric.", "better clustering",
          _heavy_triplet, (), "Loss values say nothing about balance; gradients do (probe loss_conflict)."),
    Asked("solution_4_aggressive_lr_drop", "Coarse to fine: a higher initial rate and early drops, in absolute epochs.",
          "progressive improvement", _early_drops, ("plateau", "before-drop")),
    Asked("solution_5_smaller_batch_higher_lr", "A smaller batch mines harder samples, as asked.", "stronger gradients",
          _smaller_batch, (),
          "Theory says the opposite of the hypothesis: fewer candidates in a batch give easier negatives. It is an experiment."),
)  # fmt: skip
