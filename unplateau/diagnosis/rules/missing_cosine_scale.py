"""Cosine logits have no scale.

What it is
    The classifier compares directions, its logits lie within -1 and 1, and the cross-entropy cannot get below 5.62 for 751
    identities, however well people are told apart.

Why it happens
    Normalised features and prototypes without the usual scale of 30 to 64. By the value alone not to be told from softmax before
    the loss (softmax-before-ce); here the configuration says which.

How it was seen
    fast-reid's HEADS.SCALE is 1 by default.

What to do
    Set MODEL.HEADS.SCALE to 30.

Source
    ln(1 + (I-1) exp(-s I/(I-1))): Wang 2017, NormFace, proposition 2.
"""

from __future__ import annotations

from unplateau.curves.landmarks import cosine_floor
from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "missing-cosine-scale"
_COSINE_HEADS = ("CosineLinear", "ArcSoftmax", "CosSoftmax", "CircleSoftmax", "cosine")
_SMALL_SCALE = 4.0  # below it the floor is above 1 nat for hundreds of identities


def judge(case: Case) -> Verdict:
    """Fire where a cosine classifier has a scale that bounds the loss far above zero."""
    scale = case.facts.cosine_scale
    if not is_cosine(case) or scale is None or scale > _SMALL_SCALE or case.facts.num_identities is None:
        return None
    smoothing = case.facts.label_smoothing or 0.0
    floor = cosine_floor(case.facts.num_identities, scale, label_smoothing=smoothing)
    text = f"cosine classifier with scale {scale:g}: the cross-entropy cannot get below {floor:.2f}"
    loss = case.curve("cross_entropy")
    return Finding(
        code=CODE,
        title="Cosine logits have no scale",
        severity="pipeline",
        confidence=0.95,
        evidence=(Evidence(text, None if loss is None else loss.latest, floor, "configuration"),),
        causes=("missing-cosine-scale",),
        refuted_by=f"one logged cross-entropy below {floor:.2f}",
        next_test="set the scale to 30 and look at the first epoch",
        remedies=("restore_cosine_scale",),
    )


def is_cosine(case: Case) -> bool:
    """Return whether the classifier is known to compare directions."""
    return case.facts.classifier in _COSINE_HEADS
