"""The classifier gives every identity the same probability.

What it is
    The cross-entropy sits on ln I and the logits have no spread left: the network has collapsed to the answer that costs least
    when nothing can be told apart.

Why it happens
    Features or classifier weights went to zero: weight decay far too strong, dead units, a learning rate that killed the
    features, blank images; or labels that have nothing to do with the images.

How it was seen
    ln 751 = 6.621. deep-person-reid#357 hovered at 6.66. With classifiers initialised at 0.001 the *start* is 6.622, so there
    the value alone does not tell a collapse from weights that never moved; the triplet loss does.

What to do
    Look at the norm of the features and of the classifier weights; feed blank images: the same loss = the images are ignored.

Source
    ln I is the entropy of the uniform answer. Karpathy, A Recipe for Training Neural Networks (blank-input test).
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.landmarks_of import head_starts, uniform
from unplateau.diagnosis.schedule_view import in_warm_up, is_rate_off
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "uniform-logits"
_NEAR = 0.012  # nats
_FEWEST_POINTS = 6
_APART = 0.02  # nats between ln I and the head's start, below which the value says nothing
_LEARNED_MAP = 0.05


def judge(case: Case) -> Verdict:
    """Fire where the cross-entropy ends on ln I and did not start there."""
    loss, ln_i = case.curve("cross_entropy"), uniform(case)
    if loss is None or ln_i is None or len(loss.y) < _FEWEST_POINTS or in_warm_up(case) or is_rate_off(case):
        return None
    tail = loss.from_x(float(loss.x[len(loss.x) // 2]))
    score, triplet = case.curve("mAP"), case.curve("triplet")
    if abs(tail.level - ln_i) > _NEAR or not tail.is_stationary(_NEAR) or (score is not None and score.latest > _LEARNED_MAP):
        return None
    if triplet is not None and triplet.latest < 0.75 * triplet.first:
        return None  # the features learn: `classifier_not_trained`
    came_from_elsewhere = abs(loss.first - ln_i) > _APART or all(
        abs(start.start.mean - ln_i) > _APART for start in head_starts(case)
    )
    if not came_from_elsewhere:
        return None
    return Finding(
        code=CODE,
        title="The classifier gives every identity the same probability",
        severity="optimisation",
        confidence=0.7,
        evidence=(Evidence(f"cross-entropy {tail.level:.3f}, flat on ln I", tail.level, ln_i, tail.where()),),
        causes=("weight-decay-too-strong", "learning-rate-too-high", "labels-shuffled", "blank-images", "dead-units"),
        refuted_by="logits that differ clearly from image to image",
        next_test="spread of the logits and norm of the features over one batch; then the same on blank images",
        remedies=("lower_weight_decay", "lower_learning_rate", "relabel", "clean_images"),
    )
