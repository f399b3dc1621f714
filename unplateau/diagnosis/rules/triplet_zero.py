"""The triplet loss is 0.

What it is
    No triplet is active: every negative is farther than every positive by more than the margin. From the first epoch on that
    cannot be learned, it is a sampler without pairs; later it means that the term is solved and gives no more gradient.

Why it happens
    Batches without a second image of a person (no PK sampling, K=1), so that the hardest positive is the anchor itself; a mask
    that removes all pairs; or, late, batches that are too easy.

How it was seen
    pytorch-metric-learning#268: always 0, no active triplets. fast-reid#541: exactly 0, then NaN.

What to do
    From the start: PK sampling with K >= 4. Late: harder batches (larger P), or nothing, if mAP still rises.

Source
    Hermans 2017, section 3: the share of active triplets.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.landmarks_of import collapsed_triplet
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "no-positives"
SOLVED_CODE = "triplet-solved"
_ZERO = 0.01  # of the collapse value
_FEWEST_POINTS = 3


def judge(case: Case) -> Verdict:
    """Fire where the triplet loss is 0 from the first point on."""
    triplet = case.curve("triplet")
    if triplet is None or len(triplet.y) < _FEWEST_POINTS or case.facts.triplet_weight == 0:
        return None
    if triplet.y.max() > _ZERO * collapsed_triplet(case):
        return None
    return Finding(
        code=CODE,
        title="The triplet loss is 0 from the start: it finds no pairs",
        severity="pipeline",
        confidence=0.85,
        evidence=(
            Evidence(
                f"triplet loss at most {triplet.y.max():.2g}", float(triplet.y.max()), collapsed_triplet(case), triplet.where()
            ),
        ),
        causes=("no-pk-sampling", "no-positives"),
        refuted_by="batches in which every person has several images",
        next_test="count the images of each person in one batch",
        remedies=("use_pk_sampling",),
    )


def judge_solved(case: Case) -> Verdict:
    """Note where the triplet loss fell to 0: it gives no more gradient."""
    triplet = case.curve("triplet")
    if triplet is None or len(triplet.y) < _FEWEST_POINTS or isinstance(judge(case), Finding):
        return None
    value = collapsed_triplet(case)
    if triplet.latest > 3 * _ZERO * value or triplet.first < 0.2 * value:
        return None
    return Finding(
        code=SOLVED_CODE,
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
