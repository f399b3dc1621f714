"""Augmentation is configured and not done.

What it is
    Training images are looked for among their files, pixel by pixel. Nearly all are a file as it is: none is mirrored, shifted or
    covered, where the configuration asks for it.

Why it happens
    The result of a transform is not taken (`flip(image)` for `image = flip(image)`), the evaluation's transform is handed to the
    training set, a probability is read as 0, or images are cached after the first epoch.

How it was seen
    xmed-lab/DHC#8: functions of the augmentation were called and what they returned was not used.

What to do
    Save one training batch twice, of two epochs, as pictures: the same file should look otherwise.

Source
    Luo et al. 2019: flipping, padding and erasing are worth points of mAP, and the training people are learned by heart without.
"""

from __future__ import annotations

from unplateau.diagnosis.case import AS_CONFIGURED, Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "augmentation-not-done"
_NEARLY_ALL, _SOME = 0.9, 0.5  # of the images


def judge(case: Case) -> Verdict:
    """Fire where nearly all training images are their files, and half of them or more should not be."""
    shares = case.measured("images_unchanged")
    left, meant = shares.get("", 0.0), shares.get(AS_CONFIGURED, 1.0)
    if left < _NEARLY_ALL or meant > _SOME:
        return None
    text = f"{left:.0%} of the training images are a file as it is; as configured {meant:.0%} would be"
    return Finding(
        code=CODE,
        title="The configured augmentation is not done",
        severity="pipeline",
        confidence=0.9,
        evidence=(Evidence(text, left, meant, "probe images_of_files"),),
        causes=("overfitting",),
        refuted_by="two epochs that show one file in two ways",
        next_test="save one training batch of each of two epochs as pictures",
        remedies=("regularise",),
    )
