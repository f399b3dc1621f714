"""The images are ignored.

What it is
    Training on blank images brings the loss down as well as training on the real ones does.

Why it happens
    Images are blank or all alike, normalised to nothing, or features are cut off from them (a dead first layer, an index bug
    that gives every row the same image).

How it was seen
    Planted as blank_images; open-reid#24 was an indexing bug of this kind.

What to do
    Show a batch as pictures, with its labels, at the place where it enters the network.

Source
    Karpathy, A Recipe for Training Neural Networks: "input-independent baseline". Threshold ours: real images must be better by
    three times the noise of the steps.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "images-ignored"
_NOISES = 3.0
_SHARE = 0.02  # of the loss; a difference below it says nothing even without noise
_SOURCE = "probe blank_input"


def judge(case: Case) -> Verdict:
    """Fire where the loss on blank images equals the loss on the real ones, and both can be learned from."""
    seen, blank = case.measured("loss_on_images").get(""), case.measured("loss_on_blanks").get("")
    noise = case.measured("loss_on_images_noise").get("", 0.0)
    if seen is None or blank is None or abs(blank - seen) > max(_SHARE * abs(blank), _NOISES * noise / 3):
        return None
    identical = abs(blank - seen) <= 1e-6 * max(abs(blank), 1e-12)
    return Finding(
        code=CODE,
        title="The images are ignored: blank ones train as well",
        severity="pipeline",
        confidence=0.95 if identical else 0.55,
        evidence=(Evidence(f"loss {seen:.4f} on images, {blank:.4f} on blank ones (noise {noise:.2g})", seen, blank, _SOURCE),),
        causes=("blank-images", "detached-branch", "inputs-not-normalised"),
        refuted_by="more steps, after which real images are better",
        next_test="show the batch that enters the network as pictures",
        remedies=("clean_images", "repair_normalisation"),
    )
