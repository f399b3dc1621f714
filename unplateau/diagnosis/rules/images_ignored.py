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
    Karpathy, A Recipe for Training Neural Networks: "input-independent baseline". Threshold ours: to four digits the same loss. A
    difference, however small, shows that images are used; in the first steps of a training it is small.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "images-ignored"
_SAME = 1e-4  # of the loss: rounding, and kernels that sum in another order
_SOURCE = "probe blank_input"


def judge(case: Case) -> Verdict:
    """Fire where the loss on blank images equals the loss on the real ones, and both can be learned from."""
    seen, blank = case.measured("loss_on_images").get(""), case.measured("loss_on_blanks").get("")
    noise = case.measured("loss_on_images_noise").get("", 0.0)
    if seen is None or blank is None or abs(blank - seen) > _SAME * abs(blank):
        return None
    return Finding(
        code=CODE,
        title="The images are ignored: blank ones train as well",
        severity="pipeline",
        confidence=0.55,  # a symptom: whatever keeps the network from learning makes both losses equal
        evidence=(Evidence(f"loss {seen:.4f} on images, {blank:.4f} on blank ones (noise {noise:.2g})", seen, blank, _SOURCE),),
        causes=("blank-images", "detached-branch", "inputs-not-normalised", "dead-units", "no-gradient"),
        refuted_by="a loss on blank images that differs in any of four digits",
        next_test="show the batch that enters the network as pictures",
        remedies=("clean_images", "repair_normalisation"),
    )
