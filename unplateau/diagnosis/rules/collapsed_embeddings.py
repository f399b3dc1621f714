"""All embeddings have collapsed to a point.

What it is
    The triplet loss sits on its margin (hinge) or on ln 2 = 0.693 (soft margin): positives are as far as negatives, because
    everything is at one place. mAP is that of a random ranking, about 0.2 % on Market-1501.

Why it happens
    Hardest-triplet mining on large batches early in training makes the point the best answer; a rate that is too high gets
    there in a few steps; cross-entropy and triplet on one feature pull it apart (BNNeck separates them); with the triplet alone
    nothing holds the features open.

How it was seen
    triplet-reid#30: soft triplet stuck at .7; #54: .693, cured by P=2, K=2 and growing. open-metric-learning#446: at 32x5 hard
    mining, fine at 12x3. deep-person-reid#357: LR .002, triplet = margin, mAP .2 %. AICity2020-VOC-ReID#13: BNNeck cured it.
    Not every .69 is one: triplet-reid#91 stayed at .69-.79 while its batch precision rose to 56 %.

What to do
    Add cross-entropy, warm up, use BNNeck, begin with a small P x K and grow it, lower the rate.

Source
    Hermans, Beyer, Leibe 2017, In Defense of the Triplet Loss, section 3.2; Luo 2019 (BNNeck).
"""

from __future__ import annotations

import numpy as np

from unplateau.diagnosis.case import Case, Curve
from unplateau.diagnosis.landmarks_of import chance_accuracy, collapsed_triplet, uniform
from unplateau.diagnosis.schedule_view import in_warm_up, rate_over_usual
from unplateau.diagnosis.verdict import Abstained, Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "collapsed-embeddings"
_MOST_SURE = 0.7  # a symptom of several causes, whatever supports it
_NEAR = 0.03  # of the collapse value
_FEWEST_POINTS = 4
_EXACTLY = 2e-3  # of the collapse value, at every point from the first on
_FAR_ABOVE = 3.0  # times the rate of published recipes
_LEARNED_MAP = 0.05  # well above random (.2 %) and above un-finetuned features (1-3 %)
_LEARNED_SHARE = 0.75  # of ln I; a cross-entropy below it means that features tell people apart
_DISTANCES_ALIKE = 1.02  # d_an / d_ap of a point


def judge(case: Case) -> Verdict:
    """Fire where the triplet loss sits on its collapse value and nothing else shows learning."""
    triplet = case.curve("triplet")
    if triplet is None or case.facts.triplet_weight == 0 or len(triplet.y) < _FEWEST_POINTS:
        return None
    if in_warm_up(case):
        return Abstained("too early: the learning rate is still warming up")
    tail = triplet.from_x(float(triplet.x[len(triplet.x) // 2]))
    value = _collapse_value(case, tail)
    if value is None or _has_learned(case):
        return None
    support = _support(case)
    if not support and case.facts.margin is None:
        return Abstained("the triplet loss is at a usual margin; --margin tells whether it is this run's", ("--margin",))
    return Finding(
        code=CODE,
        title="The embeddings have collapsed to a point",
        severity="optimisation",
        confidence=round(min(_MOST_SURE, 0.6 + 0.05 * len(support)), 2),
        evidence=(
            Evidence(
                f"triplet loss {tail.y.min():.3g}-{tail.y.max():.3g}, flat on its collapse value", tail.level, value, tail.where()
            ),
            *support,
        ),
        causes=_causes(case, triplet, value),
        refuted_by="distances between images of different people that are clearly above those of the same person",
        next_test="mean d_ap and d_an of a batch: equal and near 0 = collapsed",
        remedies=("add_cross_entropy", "warm_up", "smaller_pk_and_grow", "lower_learning_rate"),
    )


def _causes(case: Case, triplet: Curve, value: float) -> tuple[str, ...]:
    if float(np.abs(triplet.y - value).max()) < _EXACTLY * value:
        # no training gets there in its first steps: the signal is lost on its way through the network
        return ("blank-images", "dead-units", "batch-norm-in-eval", "triplet-collapse")
    usual = ("triplet-collapse", "learning-rate-too-high", "no-warm-up", "cross-entropy-missing")
    ratio = rate_over_usual(case)
    if ratio is not None and ratio >= _FAR_ABOVE:
        return ("learning-rate-too-high", "no-warm-up", "triplet-collapse")
    return usual if case.curve("cross_entropy") is None else usual[:3]


def _collapse_value(case: Case, tail: Curve) -> float | None:
    candidates = (collapsed_triplet(case),) if case.facts.margin is not None else (0.3, 0.693)
    for value in candidates:
        close = abs(tail.level - value) <= _NEAR * value
        if close and abs(tail.y - value).max() <= 4 * _NEAR * value + 3 * tail.slope.noise.std:
            return value
    return None


def _has_learned(case: Case) -> bool:
    score, loss, ln_i = case.curve("mAP"), case.curve("cross_entropy"), uniform(case)
    if score is not None and score.latest > _LEARNED_MAP:
        return True
    accuracy, chance = case.curve("accuracy"), chance_accuracy(case)
    if accuracy is not None and chance is not None and accuracy.latest > max(0.05, 20 * chance):
        return True
    return loss is not None and ln_i is not None and loss.latest < _LEARNED_SHARE * ln_i and loss.level > 0


def _support(case: Case) -> list[Evidence]:
    evidence = []
    score, loss, ln_i = case.curve("mAP"), case.curve("cross_entropy"), uniform(case)
    if score is not None:
        evidence.append(Evidence(f"mAP {score.latest:.2%}", score.latest, case.facts.chance_map or 0.002, score.where()))
    if loss is not None and ln_i is not None and loss.latest >= 0.95 * ln_i:
        evidence.append(
            Evidence(f"cross-entropy {loss.latest:.2f}, at or above ln I = {ln_i:.3f}", loss.latest, ln_i, loss.where())
        )
    near, far = case.curve("d_ap"), case.curve("d_an")
    if near is not None and far is not None and near.latest > 0 and far.latest / near.latest < _DISTANCES_ALIKE:
        evidence.append(Evidence(f"d_an / d_ap = {far.latest / near.latest:.3f}", far.latest / near.latest, 1.0, far.where()))
    return evidence
