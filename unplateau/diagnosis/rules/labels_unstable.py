"""Labels do not stay with their people.

What it is
    The image that looks most alike is looked for within the batch, among the other batches and in the next epoch. Where it
    carries the same label in one place and not in another, labels change. And labels whose images are all of one camera are a
    camera's or a tracklet's, for people of re-ID data sets are seen by several.

Why it happens
    Labels numbered anew in every batch or epoch (an enumeration over a set, a dictionary that is filled while loading); the wrong
    field of a file name taken for the person.

How it was seen
    Person, camera and sequence stand side by side in the file names of Market-1501 and DukeMTMC; a set of strings has another
    order in every Python process.

What to do
    Number the sorted person ids once, before training, and print the label of one file in two epochs.

Source
    Looks are told by the colours of clothes (Gray and Tao 2008), without a network. Thresholds ours.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "labels-change"
_SOURCE = "probe label_stability"
_KNOWN_BY_LOOKS, _AT_CHANCE = 4.0, 1.7  # times chance
_FEWEST_IMAGES = 100
_ONE_CAMERA, _SEVERAL_CAMERAS = 0.95, 0.6
_LOOKS_CHANGED = 1.0


def judge(case: Case) -> Verdict:
    """Fire where look-alikes share a label within a batch or an epoch, and not beyond."""
    same, chance = case.measured("same_label"), case.measured("same_label_chance")
    if case.measured("label_images").get("", 0.0) < _FEWEST_IMAGES:
        return None
    if case.measured("looks_found_again").get("", 0.0) > _LOOKS_CHANGED:
        return None  # augmentation may differ from batch to batch
    for inside, outside, words in (
        ("other batches", "other epoch", "from one epoch to the next"),
        ("own batch", "other batches", "from batch to batch"),
    ):
        if not {inside, outside} <= same.keys():
            continue
        holds = same[inside] > _KNOWN_BY_LOOKS * chance[inside] and same[inside] > 2 * same[outside]
        if holds and same[outside] < _AT_CHANCE * chance[outside]:
            text = (
                f"look-alikes share the label in {same[inside]:.0%} of the cases in {inside}, "
                f"in {same[outside]:.1%} in {outside} (chance {chance[outside]:.1%})"
            )
            return _finding(CODE, f"Labels change {words}", 0.9, text, same[outside])
    return None


def judge_cameras(case: Case) -> Verdict:
    """Fire where the images of every label are of one camera, though there are several."""
    same, chance = case.measured("same_camera_of_label").get(""), case.measured("same_camera_chance").get("")
    if same is None or chance is None or same < _ONE_CAMERA or chance > _SEVERAL_CAMERAS:
        return None
    if case.measured("label_images").get("", 0.0) < _FEWEST_IMAGES:
        return None
    text = f"{same:.0%} of the pairs of one label are of one camera, {chance:.0%} of all pairs are"
    return _finding("labels-of-cameras", "Every label is seen by one camera only", 0.8, text, same)


def _finding(code: str, title: str, confidence: float, text: str, value: float) -> Finding:
    return Finding(
        code=code,
        title=title,
        severity="pipeline",
        confidence=confidence,
        evidence=(Evidence(text, value, None, _SOURCE),),
        causes=("labels-shuffled", "identities-split", "identities-merged"),
        refuted_by="ten images of one label, of two epochs and two cameras, that show one person",
        next_test="print path, camera and label of one person's images in two epochs",
        remedies=("relabel",),
    )
