"""Published diagnosers on the same runs: their rules and thresholds, where our records hold what they look at.

AutoTrainer (Zhang et al., ICSE 2021), DeepDiagnosis (Wardat et al., ICSE 2022), SageMaker Debugger (Rauschmayr et al., MLSys
2021) and an answer drawn at random. They name symptoms; `_MEANS` says which of our causes each may stand for, generously: all
that their papers or repairs would treat. Left out: saturation of sigmoid units (there are none), overfitting (they compare
losses on held-out images of trained identities, which re-ID does not have), and, in their favour, two rules of SageMaker that
every healthy run here breaks: PoorWeightInitialization (variance ratio 10) and CheckInputImages (channel mean above 0.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from benchmarks.plateaubench.diagnosing import Answer
from unplateau.diagnosis.causes import CAUSES

_STILL = (
    "stale-optimizer", "learning-rate-zero", "everything-frozen", "backbone-frozen", "layers-frozen", "scaler-always-skips",
    "no-gradient", "detached-branch",
)  # fmt: skip
_MEANS: dict[str, tuple[str, ...]] = {
    "vanishing gradient": (
        "no-gradient", "detached-branch", "gradient-clipped-away", "dead-units", "epsilon-too-large", "wrong-model",
        "wrong-start",
    ),
    "exploding gradient": (
        "learning-rate-too-high", "no-warm-up", "gradients-accumulate", "inputs-not-normalised", "wrong-start",
        "wrong-update",
    ),
    "dying ReLU": ("dead-units", "learning-rate-too-high", "wrong-model", "wrong-start"),
    "oscillating": ("learning-rate-too-high", "no-warm-up", "batch-too-small", "wrong-update", "wrong-schedule"),
    "slow convergence": (
        "learning-rate-too-low", "epsilon-too-large", "gradient-clipped-away", "schedule-too-fast", "wrong-update",
        "wrong-schedule",
    ),
    "abnormal data": ("inputs-not-normalised", "evaluation-preprocessing", "blank-images", "images-corrupted"),
    "not a number": ("learning-rate-too-high", "no-warm-up", "inputs-not-normalised", "wrong-update"),
    "tensor unchanged": (*_STILL, "wrong-step"),
    "rate too low": ("learning-rate-too-low", "learning-rate-zero", "schedule-too-fast", "epsilon-too-large", "wrong-update"),
    "rate too high": ("learning-rate-too-high", "no-warm-up", "wrong-update"),
    "input out of range": ("inputs-not-normalised", "channels-swapped", "evaluation-preprocessing", "images-corrupted"),
    "loss not moving": (
        "learning-rate-too-low", "softmax-before-ce", "missing-cosine-scale", "labels-shuffled", "wrong-loss", "wrong-model",
        *_STILL,
    ),
    "identities unbalanced": ("no-pk-sampling", "no-positives", "wrong-sampler"),
}  # fmt: skip
_BAD_ACCURACY, _JUDGED_AT = 0.6, 0.3  # AutoTrainer: only models this bad, after this share of the training
_PATIENCE = 10  # SageMaker: steps; we have one number an epoch, so epochs

Story = dict[str, Any]


def auto_trainer(story: Story) -> Answer:
    """AutoTrainer's symptoms in its order, at 30 % of the epochs, where the best accuracy is at most 0.6."""
    vitals, accuracy, loss = story["vitals"], _series(story, "accuracy"), _series(story, "loss")
    until = max(1, math.ceil(_JUDGED_AT * len(vitals))) if vitals else 0
    if accuracy and max(accuracy[: max(until, 1)]) > _BAD_ACCURACY:
        return _answer([])
    found = []
    for vital in vitals[:until]:
        first, last = _number(vital, "first_gradient"), _number(vital, "last_gradient")
        ratio = first / max(last, 1e-30)
        found += ["vanishing gradient"] if ratio < 1e-3 and first < 1e-4 else []
        found += ["exploding gradient"] if ratio > 70 else []
        found += ["dying ReLU"] if _number(vital, "zero_gradients") >= 0.7 else []
    steps = [b - a for a, b in zip(accuracy, accuracy[1:], strict=False)]
    falls = sum(step <= -0.03 for step in steps)
    found += ["oscillating"] if steps and falls >= 0.2 * len(accuracy) else []
    found += ["slow convergence"] if steps and max(steps[: max(until, 1)]) < 0.01 else []
    found += ["abnormal data"] if any(_number(vital, "mean_output") >= 10 for vital in vitals[:until]) else []
    found += ["not a number"] if any(not math.isfinite(value) or value > 1e3 for value in loss) else []
    return _answer(found)


def deep_diagnosis(story: Story) -> Answer:
    """DeepDiagnosis's checks in its order, over the whole training."""
    vitals, loss, found = story["vitals"], _series(story, "loss"), []
    for vital in vitals:
        found += ["dying ReLU"] if _number(vital, "not_positive") >= 0.7 else []
        found += ["abnormal data"] if _number(vital, "large_outputs") > 0.5 else []
        found += ["vanishing gradient"] if _number(vital, "least_mean_gradient") < 1e-7 else []
        found += ["tensor unchanged"] if _number(vital, "update_low") == 0 else []
        found += ["rate too low"] if _number(vital, "rate_ratio_high") < 1e-5 else []
        found += ["rate too high"] if _number(vital, "rate_ratio_low") > 1e-1 else []
        found += ["input out of range"] if _out_of_one(vital) else []
    found += ["not a number"] if any(not math.isfinite(value) for value in loss) else []
    found += ["loss not moving"] if len(loss) > 1 and abs(loss[-1] - loss[0]) < 1e-3 * abs(loss[0]) else []
    return _answer(found)


def sage_maker(story: Story) -> Answer:
    """SageMaker Debugger's built-in rules, in the order of its documentation."""
    vitals, loss, found = story["vitals"], _series(story, "loss"), []
    for vital in vitals:
        found += ["dying ReLU"] if _number(vital, "dead_units") > 0.5 else []
        found += ["not a number"] if any(not math.isfinite(value) for value in loss) else []
        found += ["tensor unchanged"] if _number(vital, "unchanged_tensors") > 0 else []
        found += ["vanishing gradient"] if _number(vital, "least_mean_gradient") < 1e-7 else []
        found += ["rate too high"] if _number(vital, "update_high") > 10 else []
        found += ["rate too low"] if _number(vital, "update_low") < 1e-8 else []
        found += ["identities unbalanced"] if _number(vital, "label_imbalance") > 10 else []
    if len(loss) > _PATIENCE and loss[-1] > (1 - 1e-3) * loss[-1 - _PATIENCE]:
        found.append("loss not moving")
    return _answer(found)


BASELINES: dict[str, Callable[[Story], Answer]] = {
    "AutoTrainer": auto_trainer,
    "DeepDiagnosis": deep_diagnosis,
    "SageMaker Debugger": sage_maker,
}


def random_choice() -> float:
    """Return the expected top-1 of naming one class at random for every run."""
    return 1 / len({cause.cure for cause in CAUSES if cause.code != "finished"})


def _answer(symptoms: list[str]) -> Answer:
    named = tuple(dict.fromkeys(symptoms))
    return Answer(bool(named), tuple(_MEANS[symptom] for symptom in named), 1.0 if named else 0.0, named)


def _series(story: Story, name: str) -> list[float]:
    return [float(line[name]) for line in story["log"] if name in line]


def _number(vital: dict[str, Any], name: str) -> float:
    return float(vital[name])


def _out_of_one(vital: dict[str, Any]) -> bool:
    """Its check wants [-1, 1], which ImageNet normalisation leaves by design (-2.2 to 2.7); that much is allowed here."""
    return _number(vital, "input_low") < -3 or _number(vital, "input_high") > 3
