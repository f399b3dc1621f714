"""The logits cannot grow: softmax before the loss, or cosine logits without a scale.

What it is
    The cross-entropy never gets below a floor far above zero, however well people are told apart: 5.62 for 751 identities.
    Cross-entropy applies softmax itself. If its input is already a probability (within 0 and 1) or a bare cosine (within -1 and
    1), the best possible answer still looks unsure. What tells it from a loss that is still on its way down is the accuracy: a
    classifier that is right for 90 % of the images has a cross-entropy below 1.

Why it happens
    A softmax layer at the end of the model in front of CrossEntropyLoss (softmax-before-ce), or normalised features and
    prototypes without the usual scale of 30 to 64 (missing-cosine-scale). By the value alone the two cannot be told apart
    (5.624 and 5.622), and the classifier that runs need not be the configured one. A target that is mostly smoothing keeps the
    loss up as well (label-smoothing-too-strong).

How it was seen
    Common in first ports of a classifier; fast-reid's HEADS.SCALE is 1 by default.

What to do
    Give raw logits to the loss; for cosine classifiers set MODEL.HEADS.SCALE to 30.

Source
    ln(1 + (I-1)/e); ln(1 + (I-1) exp(-I/(I-1))): Wang 2017, NormFace, proposition 2.
"""

from __future__ import annotations

import math

from unplateau.curves.landmarks import cross_entropy_of_accuracy, softmax_twice_floor
from unplateau.diagnosis.case import Case, Curve
from unplateau.diagnosis.landmarks_of import uniform
from unplateau.diagnosis.rules.missing_cosine_scale import is_cosine
from unplateau.diagnosis.schedule_view import is_rate_off
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "softmax-before-ce"
_SQUEEZED = ("softmax-before-ce", "missing-cosine-scale")
_NEAR_SHARE = 0.35  # of the way from the floor to ln I
_LEARNED_ACCURACY = 0.3
_LEARNED_MAP = 0.1
_APART = 0.5  # nats above what the accuracy calls for
_STOPPED = 0.03  # of its level
_ROUNDING = 0.02  # nats
_FEWEST_POINTS = 6
_POINTS_AHEAD = 3  # a curve that would be clearly below the floor so soon is passing it
_CLEARLY_BELOW = 0.05  # nats


def judge(case: Case) -> Verdict:
    """Fire where people are told apart and the cross-entropy stays above the floor of bounded logits."""
    if is_cosine(case) or is_rate_off(case):
        return None  # `missing_cosine_scale`; a rate that is too low keeps the loss up as well
    bound = _bounded(case, softmax_twice_floor(case.facts.num_identities or 2, label_smoothing=case.facts.label_smoothing or 0.0))
    if bound is None:
        return None
    return Finding(
        code=CODE,
        title="The loss stays far above what its accuracy calls for: softmax twice, cosines without a scale, or a soft target",
        severity="pipeline",
        confidence=0.7,  # temperature, clamped logits and mixed labels look alike
        evidence=bound,
        causes=(*_SQUEEZED, "label-smoothing-too-strong"),
        refuted_by="one logged cross-entropy below the floor, or logits outside [-1, 1]",
        next_test="print the range of what goes into the cross-entropy ([0, 1] = probabilities, [-1, 1] = bare cosines) and its "
        "label smoothing",
        remedies=("restore_logits", "restore_cosine_scale", "less_label_smoothing"),
    )


def _bounded(case: Case, floor: float) -> tuple[Evidence, ...] | None:
    loss, ln_i = case.curve("cross_entropy"), uniform(case)
    if loss is None or ln_i is None or len(loss.y) < _FEWEST_POINTS or loss.y.min() < floor - _ROUNDING:
        return None
    accuracy, score = case.curve("accuracy"), case.curve("mAP")
    learned = (accuracy is not None and accuracy.latest > _LEARNED_ACCURACY) or (
        score is not None and score.latest > _LEARNED_MAP
    )
    if not learned or _is_passing(loss, floor) or loss.latest > ln_i + _ROUNDING or not _is_too_high(case, loss, floor):
        return None
    evidence = [Evidence(f"cross-entropy {loss.latest:.3f}, never below {loss.y.min():.3f}", loss.latest, floor, loss.where())]
    if accuracy is not None:
        evidence.append(
            Evidence(f"yet the classifier is right for {accuracy.latest:.0%} of the images", accuracy.latest, None, "log")
        )
    if score is not None:
        evidence.append(Evidence(f"and mAP is {score.latest:.1%}", score.latest, None, "log"))
    return tuple(evidence)


def _is_passing(loss: Curve, floor: float) -> bool:
    """A healthy loss goes through every value on its way: at its recent pace it is below the floor within a few points."""
    pace = float(loss.y[-_POINTS_AHEAD] - loss.y[-1]) / (_POINTS_AHEAD - 1)
    return float(loss.y[-1]) - _POINTS_AHEAD * pace < floor - _CLEARLY_BELOW


def _is_too_high(case: Case, loss: Curve, floor: float) -> bool:
    """Whether a classifier that is right so often would have a far lower loss; without an accuracy, whether it stopped there."""
    accuracy, identities = case.curve("accuracy"), case.facts.num_identities or 2
    if accuracy is not None:
        honest = cross_entropy_of_accuracy(identities, accuracy.latest, label_smoothing=case.facts.label_smoothing or 0.0)
        return loss.latest > honest + _APART
    tail = loss.from_x(float(loss.x[len(loss.x) // 2]))
    near = loss.latest <= floor + _NEAR_SHARE * (math.log(identities) - floor)
    return near and tail.is_stationary(_STOPPED * tail.level)
