"""The triplet loss finds no pairs.

What it is
    No triplet is active from the first epoch on, which cannot be learned: the sampler gives no second image of a person; or the
    configuration says so.

Why it happens
    Plain shuffling or K=1, so that the hardest positive is the anchor itself; a mask that removes all pairs.

How it was seen
    pytorch-metric-learning#268: always 0, no active triplets. fast-reid#541: exactly 0, then NaN.

What to do
    PK sampling with K >= 4.

Source
    Hermans 2017, section 3: the share of active triplets.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.landmarks_of import collapsed_triplet
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "no-positives"
_ZERO = 0.01  # of the collapse value
_FEWEST_POINTS = 3
_HAVE_POSITIVES = 0.9  # of the images


def judge(case: Case) -> Verdict:
    """Fire where the triplet loss is 0 from the first point on, or is trained with one image of a person."""
    if case.facts.triplet_weight == 0:
        return None
    if case.measured("batch_with_positive").get("", 0.0) >= _HAVE_POSITIVES and case.measured("loss_configured"):
        return None  # batches were looked at, and so was the loss: `sampling_measured`, `losses_not_as_configured`
    evidence = (*_zero(case), *_plain_sampling(case))
    if not evidence:
        return None
    return Finding(
        code=CODE,
        title="The triplet loss finds no pairs",
        severity="pipeline",
        confidence=0.85 if case.facts.num_instances == 1 else 0.65,  # a loss that is wrong may be 0 as well
        evidence=evidence,
        causes=("no-pk-sampling", "no-positives"),
        refuted_by="batches in which every person has several images",
        next_test="count the images of each person in one batch",
        remedies=("use_pk_sampling",),
    )


def _zero(case: Case) -> tuple[Evidence, ...]:
    triplet, value = case.curve("triplet"), collapsed_triplet(case)
    if triplet is None or len(triplet.y) < _FEWEST_POINTS or triplet.y.max() > _ZERO * value:
        return ()
    text = f"triplet loss at most {triplet.y.max():.2g}, from the first {triplet.unit} on"
    return (Evidence(text, float(triplet.y.max()), value, triplet.where()),)


def _plain_sampling(case: Case) -> tuple[Evidence, ...]:
    if case.facts.num_instances != 1 or not case.facts.triplet_weight:
        return ()
    return (Evidence("a triplet loss is trained on batches without PK sampling (K = 1)", 1.0, 4.0, "configuration"),)
