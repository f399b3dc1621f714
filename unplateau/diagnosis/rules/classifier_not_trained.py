"""The identity classifier does not learn.

What it is
    The triplet loss falls, so the backbone learns, but the cross-entropy stays where its head started, or at ln I.

Why it happens
    The classifier is not in the optimiser, the cross-entropy has weight 0, softmax is applied before a loss that applies it
    again (the gradient is then about I times too small), cosine logits go in without a scale, or labels reach the classifier
    wrongly (shifted, shuffled) while the triplet loss, which only compares labels, still sees which are equal.

How it was seen
    deep-person-reid#357: triplet only, CE shown at 6.66 with weight 0: adding CE brought 40.9 % mAP against 5.7 %.
    fast-reid#167, FairMOT#364: classifier or its rate not carried over after resuming.

What to do
    Check the weight of the cross-entropy, that raw logits go into it, the scale of cosine logits, and that the optimiser holds
    the classifier.

Source
    Landmarks: ln I + d sigma²/2, ln I, 5.62 for 751 identities with softmax twice (`curves.landmarks`).
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case, Curve
from unplateau.diagnosis.causes import cures_of
from unplateau.diagnosis.landmarks_of import chance_accuracy, matching_start, uniform
from unplateau.diagnosis.schedule_view import in_warm_up, is_rate_off
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "classifier-not-trained"
_FEWEST_POINTS = 6
_TRIPLET_FALL = 0.25  # of its first value
_NEAR_UNIFORM = 0.03  # nats
_RISING = 1.5  # times its first value
_ABOVE_CHANCE = 20.0  # times 1/I


def judge(case: Case) -> Verdict:
    """Fire where features learn and the classifier stays at its start."""
    loss, triplet = case.curve("cross_entropy"), case.curve("triplet")
    if (
        loss is None
        or triplet is None
        or min(len(loss.y), len(triplet.y)) < _FEWEST_POINTS
        or in_warm_up(case)
        or is_rate_off(case)
    ):
        return None
    landmark = _landmark(case, loss)
    if landmark is None or not loss.is_stationary(2 * _NEAR_UNIFORM) or triplet.latest > (1 - _TRIPLET_FALL) * triplet.first:
        return None
    score = case.curve("mAP")
    if score is not None and score.latest < _RISING * score.first:
        return None  # the features do not learn either: `steps_too_small`, `unlearnable`
    return Finding(
        code=CODE,
        title="The features learn, the identity classifier does not",
        severity="pipeline",
        confidence=0.7,
        evidence=(
            Evidence(f"cross-entropy {loss.level:.3f}, flat at {landmark:.3f}", loss.level, landmark, loss.where()),
            Evidence(
                f"triplet loss falls from {triplet.first:.2g} to {triplet.latest:.2g}", triplet.latest, None, triplet.where()
            ),
        ),
        causes=_causes(case),
        refuted_by="classifier weights that differ between two checkpoints, with raw logits going into the loss",
        next_test="print the range of the logits: within [0, 1] = softmax twice; within [-1, 1] = cosine without a scale",
        remedies=cures_of(_causes(case)),
    )


def _causes(case: Case) -> tuple[str, ...]:
    """A classifier that is right with a flat loss sees squeezed logits; one at chance is not trained, or its labels are wrong."""
    squeezed = ("softmax-before-ce", "missing-cosine-scale")
    untrained = ("cross-entropy-missing", "stale-optimizer")
    unlearnable = ("labels-shuffled", "labels-off-by-one")
    accuracy, chance = case.curve("accuracy"), chance_accuracy(case)
    if accuracy is not None and chance is not None and accuracy.latest > _ABOVE_CHANCE * chance:
        return squeezed
    if case.facts.cross_entropy_weight == 0:
        return ("cross-entropy-missing",)
    return (*untrained, *unlearnable) if accuracy is not None else (*squeezed, *untrained, *unlearnable)


def _landmark(case: Case, loss: Curve) -> float | None:
    start = matching_start(case, loss)
    if start is not None:
        return start.start.mean
    ln_i = uniform(case)
    return ln_i if ln_i is not None and abs(loss.level - ln_i) <= _NEAR_UNIFORM else None
