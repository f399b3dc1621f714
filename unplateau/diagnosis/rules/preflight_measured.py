"""What the first batch says: labels, pixels, pairs and logits as they reach the losses.

What it is
    The checks of preflight, judged on what a probe measured: labels within 0..I-1, images normalised and not blank, a positive
    for every anchor, raw logits, the first cross-entropy where theory puts it.

Why it happens
    Labels are person ids; pixel means on the other scale; K = 1 or no PK sampling; softmax inside the model; another head.

How it was seen
    deep-person-reid#537, #190; TransReID#93; mmtracking#244 (labels). pytorch-metric-learning#268 (no pairs). Pixel means are on
    the 0-255 scale in fast-reid and on 0-1 elsewhere.

What to do
    Look at one batch: min and max of labels, mean and standard deviation of each channel, images a person, a row of logits.

Source
    Karpathy, A Recipe for Training Neural Networks: "become one with the data", "verify loss @ init".
"""

from __future__ import annotations

from dataclasses import replace

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.preflight import judge_preflight
from unplateau.diagnosis.rules import losses_not_as_configured, sampling_measured
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

_CAUSES = {
    "labels-out-of-range": ("labels-out-of-range", "labels-off-by-one"),
    "blank-inputs": ("blank-images",),
    "inputs-not-normalised": ("inputs-not-normalised",),
    "no-positives": ("no-pk-sampling", "no-positives"),
    "softmax-before-ce": ("softmax-before-ce",),
    "initial-loss-off": ("wrong-head",),
}


_MOST_SURE = {"no-positives": 0.9, "inputs-not-normalised": 0.9, "initial-loss-off": 0.8}
"""What looks so may have another cause, which later probes tell: labels, augmentation, the loss."""
_KEPT = 0.5  # correlation of neighbouring pixels


def judge_labels(case: Case) -> Verdict:
    """Fire on labels outside 0..I-1."""
    return _found(case, "labels-out-of-range")


def judge_blank(case: Case) -> Verdict:
    """Fire on blank images; with faint pictures in them they are on a wrong scale."""
    found = _found(case, "blank-inputs")
    if found is None:
        return None
    if case.measured("blank_images").get("", 1.0) > 0:
        return replace(found, remedies=("clean_images", "repair_normalisation"))
    text = "no image is of one colour: there are pictures, on a tiny scale"
    evidence = (*found.evidence, Evidence(text, case.measured("blank_images").get(""), 0.0, "probe inputs"))
    return replace(
        found, code="inputs-not-normalised", title="The images are not normalised as the network expects", evidence=evidence,
        causes=("inputs-not-normalised",),
    )  # fmt: skip


def judge_normalisation(case: Case) -> Verdict:
    """Fire on pixels on a wrong scale; noise has another scale too, and no pictures in it."""
    found = _found(case, "inputs-not-normalised")
    if found is None or case.measured("pixel_correlation").get("", 1.0) > _KEPT:
        return found
    return replace(found, confidence=0.6, causes=("inputs-not-normalised", "augmentation-too-strong"))


def judge_positives(case: Case) -> Verdict:
    """Fire on a batch without a second image of any person."""
    found = _found(case, "no-positives")
    return None if found is None or sampling_measured.has_strangers_alike(case) else found


def judge_logits(case: Case) -> Verdict:
    """Fire on probabilities where the loss expects logits."""
    return _found(case, "softmax-before-ce")


def judge_first_loss(case: Case) -> Verdict:
    """Fire on a first cross-entropy that no fresh head gives, where the loss itself is computed as configured."""
    if isinstance(losses_not_as_configured.judge(case), Finding):
        return None
    return _found(case, "initial-loss-off")


def _found(case: Case, code: str) -> Finding | None:
    needs_positives = (case.facts.triplet_weight or 0.0) > 0
    measured = [m for m in case.measurements if m.name not in ("weight_motion", "gradient_norm")]  # `motion_measured` judges them
    found = next((f for f in judge_preflight(measured, needs_positives=needs_positives) if f.code == code), None)
    if found is None:
        return None
    return replace(found, causes=found.causes or _CAUSES[code], confidence=min(found.confidence, _MOST_SURE.get(code, 1.0)))
