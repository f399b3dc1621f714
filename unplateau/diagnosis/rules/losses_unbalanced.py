"""The losses pull against each other, or one drowns the other.

What it is
    Gradients of two loss terms at the weights they share, with their weights in the total: their cosine and the ratio of their
    norms. Values of losses say nothing about balance.

Why it happens
    A weight that is off by a factor of a hundred; a cosine loss without scale beside a triplet loss; cross-entropy and triplet
    on one feature without BNNeck.

How it was seen
    AICity2020-VOC-ReID#13: both on one feature, mAP 0, cured by BNNeck. deep-person-reid#357: a cross-entropy of weight 0.

What to do
    Set weights so that the norms are within a factor of ten; put a BNNeck between the two losses.

Source
    Yu et al. 2020 (PCGrad), definition 1, arXiv 2001.06782; Luo 2019 (BNNeck). Field notes: outside [0.1, 10] is imbalance. Ours
    is wider, since a triplet loss that is nearly solved has a small gradient, as it should.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CONFLICT, IMBALANCE = "losses-in-conflict", "losses-unbalanced"
_CONFLICT_COSINE = -0.3  # 57 healthy runs had -0.01 to 0.27: benchmarks/results/probe_readings.md
_LARGEST_RATIO = 50.0
_FEWEST_STEPS = 100  # a fresh classifier's weights are tiny, and so is the gradient that comes back through it
_ACTIVE = 0.3  # share of active triplets above which a triplet loss still has something to say
_UNTRAINED = 0.9  # of the way from floor to start
_SOURCE = "probe loss_conflict, median over batches"


def judge_conflict(case: Case) -> Verdict:
    """Fire on a clearly negative cosine."""
    cosines = case.measured("gradient_cosine")
    if not cosines:
        return None
    pair, cosine = min(cosines.items(), key=lambda item: item[1])
    if cosine > _CONFLICT_COSINE:
        return None
    return Finding(
        code=CONFLICT,
        title=f"The losses pull against each other: {pair}",
        severity="optimisation",
        confidence=0.6,
        evidence=(Evidence(f"cosine of their gradients {cosine:.2f}", cosine, 0.0, _SOURCE),),
        causes=("loss-weights-unbalanced",),
        refuted_by="a cosine near 0 at later checkpoints",
        next_test="the same run with WITH_BNNECK True, or with one of the losses alone",
        remedies=("rebalance_losses", "add_cross_entropy"),
    )


def judge_imbalance(case: Case) -> Verdict:
    """Fire where one loss has nearly all of the gradient while the other is far from solved."""
    if case.measured("steps_trained").get("", 0.0) < _FEWEST_STEPS:
        return None
    for pair, ratio in case.measured("gradient_ratio").items():
        if "center" in pair:  # its weight is tiny by design (Wen et al. 2016)
            continue
        strong, weak = pair.split(" | ") if ratio >= 1 else reversed(pair.split(" | "))
        factor = max(ratio, 1 / ratio) if ratio > 0 else 0.0
        if factor < _LARGEST_RATIO or _is_solved(case, weak):
            continue
        return Finding(
            code=IMBALANCE,
            title=f"{strong} drowns {weak}",
            severity="optimisation",
            confidence=0.7,
            evidence=(Evidence(f"the weighted gradient of {strong} is {factor:.0f} times that of {weak}", factor, 1.0, _SOURCE),),
            causes=("loss-weights-unbalanced",),
            refuted_by=f"{weak} being near its floor already",
            next_test=f"a short run with the weight of {strong} divided by {factor:.0f}",
            remedies=("rebalance_losses",),
        )
    return None


def _is_solved(case: Case, name: str) -> bool:
    if name == "triplet":
        return case.measured("active_triplets").get("", 1.0) < _ACTIVE
    # at its start the classifier is untrained, and its small weights pass little gradient on
    return not _ACTIVE <= case.measured("term_above_floor").get(name, 0.5) <= _UNTRAINED
