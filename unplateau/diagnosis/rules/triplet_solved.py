"""The triplet loss is solved.

What it is
    It fell to 0: every negative is farther than every positive by more than the margin, so it gives no more gradient.

Why it happens
    Batches that are too easy for what has been learned: few people in a batch, a small data set.

How it was seen
    Usual late in training on a few hundred people; mAP may still rise through the cross-entropy.

What to do
    Larger P, so that a batch holds harder negatives; or nothing, where mAP still rises.

Source
    Hermans 2017, section 3.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.landmarks_of import collapsed_triplet
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "triplet-solved"
_SOLVED = 0.03  # of the collapse value
_BEGAN = 0.2  # of it; a loss that was never above this is no solved one
_FEWEST_POINTS = 3


def judge(case: Case) -> Verdict:
    """Note where the triplet loss fell to 0: it gives no more gradient."""
    triplet = case.curve("triplet")
    if triplet is None or len(triplet.y) < _FEWEST_POINTS:
        return None
    value = collapsed_triplet(case)
    if triplet.latest > _SOLVED * value or triplet.first < _BEGAN * value:
        return None
    return Finding(
        code=CODE,
        title="The triplet loss is solved: its batches are too easy to teach more",
        severity="info",
        confidence=0.7,
        evidence=(
            Evidence(f"triplet loss fell from {triplet.first:.2g} to {triplet.latest:.2g}", triplet.latest, 0.0, triplet.where()),
        ),
        causes=("finished",),
        refuted_by="a validation mAP that still rises because of it",
        next_test="share of active triplets in a batch",
        remedies=("larger_batch", "regularise"),
    )
