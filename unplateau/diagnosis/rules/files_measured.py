"""Training images are not the pictures of their files, or carry another label than the list of files gives them.

What it is
    Each training image is looked for among the files, pixel by pixel. Mirroring, padding, cropping and erasing leave most of
    an image equal to its file to the digit. Where the file is found, it says which label the image should carry.

Why it happens
    A transform that nobody configured: images resized through a smaller size, mixed, blurred, covered, in other colours; files
    read as BGR; a loader that pairs images with the labels of others, by an index or a buffer that is off.

How it was seen
    Planted in our benchmark: crops enlarged to full size, mixup without its labels, pixels dropped, channels exchanged.

What to do
    Save one training batch as pictures beside their files. Print path and label of ten images as they leave the loader.

Source
    Karpathy, A Recipe for Training Neural Networks: visualise just before the net. Thresholds ours: healthy runs find
    nearly every image.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.rules import images_measured, preflight_measured
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

IMAGES, LABELS = "images-not-of-files", "labels-not-of-files"
_SOURCE = "probe images_of_files"
_FOUND = 0.4  # of an image's pixels; erasing covers at most so much that more is left
_MOST_FOUND, _USUALLY_FOUND = 0.5, 0.88  # of the images; healthy runs find 95 % and more
_EXPLAINED = 0.5  # of the images that are not found
_ALIKE = 0.05  # of the files
_LABELS_FIT = 0.9
_PREPARED: tuple[str, ...] = ("inputs-not-normalised", "evaluation-preprocessing")
_CHANGED = ("augmentation-too-strong", "evaluation-preprocessing")
_COPIES = 0.5  # distinct files over images; a batch of copies says nothing about labels
_ANOTHER_SCALE = 0.97
_OF_ANOTHER_KIND = 0.95


def are_not_found(case: Case) -> bool:
    """Return whether training images were looked for among their files and not found."""
    share = case.measured("pixels_of_file").get("")
    return share is not None and share < _FOUND


def judge_images(case: Case) -> Verdict:
    """Fire where training images are not found among their files."""
    if not are_not_found(case):
        return _some_are_not_found(case)
    if _is_known_otherwise(case):
        return None
    shares = case.measured("pixels_of_file")
    change = max((what for what in shares if what), key=lambda what: shares[what], default="")
    found = f"in the middle {shares['']:.0%} of a training image's pixels are equal to its file's"
    evidence = [Evidence(found, shares[""], 1.0, _SOURCE)]
    if change and shares[change] >= _FOUND:
        evidence.append(Evidence(f"{shares[change]:.0%} with {change}", shares[change], 1.0, _SOURCE))
        return _finding(f"Training shows its files otherwise: {change}", 0.95, evidence, _of_change(change))
    likeness = case.measured("file_correlation").get("", 0.0)
    evidence.append(Evidence(f"the most similar file correlates by {likeness:.2f}", likeness, 1.0, _SOURCE))
    if case.measured("evaluation_images_differ").get("query", 0.0) > _MOST_FOUND:
        title, causes = "Images are not prepared as configured, in training and evaluation", _PREPARED
        return _finding(title, 0.85, evidence, causes)
    if likeness > _ANOTHER_SCALE:
        causes = (*_PREPARED, "augmentation-too-strong")
        return _finding("Training changes brightness or contrast of its files", 0.85, evidence, causes)
    return _finding("Training changes its images beyond what is configured", 0.85, evidence, _CHANGED)


def _some_are_not_found(case: Case) -> Finding | None:
    found = case.measured("images_found").get("", 1.0)
    if found > _USUALLY_FOUND or _is_known_otherwise(case):
        return None
    evidence = [Evidence(f"{1 - found:.0%} of the training images are not found among their files", found, 1.0, _SOURCE)]
    changed = {what: share for what, share in case.measured("images_found").items() if what}
    best = max(changed, key=lambda what: changed[what], default="")
    if best and changed[best] > _EXPLAINED * (1 - found):
        evidence.append(Evidence(f"{changed[best]:.0%} are found with {best}", changed[best], 0.0, _SOURCE))
        return _finding(f"Training shows a part of its files otherwise: {best}", 0.9, evidence, _of_change(best))
    return _finding("Training changes a part of its images beyond what is configured", 0.7, evidence, _CHANGED)


def _of_change(what: str) -> tuple[str, ...]:
    return ("channels-swapped" if "channels" in what else "augmentation-too-strong", "evaluation-preprocessing")


def judge_labels(case: Case) -> Verdict:
    """Fire where images that are found in a file do not carry its label."""
    right, found = case.measured("labels_of_file").get(""), case.measured("images_found").get("", 0.0)
    if right is None or right > _LABELS_FIT or found < _MOST_FOUND or case.measured("files_in_batch").get("", 0.0) < _COPIES:
        return None
    if case.measured("files_of_several_labels").get("", 0.0) > _ALIKE:
        return None  # pictures that are alike are taken for one another
    text = f"{right:.0%} of the training images carry the label that the list gives the file they come from"
    damaged = case.measured("sets_told_apart").get("training | evaluation", 0.0) > _OF_ANOTHER_KIND
    return Finding(
        code=LABELS,
        title="Images reach the network with labels of other files",
        severity="pipeline",
        confidence=0.65 if damaged else 0.95,  # pictures that were damaged may be taken for one another
        evidence=(Evidence(text, right, 1.0, _SOURCE),),
        causes=("labels-off-by-one", "labels-shuffled", "labels-noisy"),
        refuted_by="path, image and label of ten training images that belong together",
        next_test="print path and label of each image of one batch, where the batch reaches the network",
        remedies=("relabel",),
    )


_KNOWN_OTHERWISE = (
    images_measured.judge_blank, images_measured.judge_copies, preflight_measured.judge_blank,
    preflight_measured.judge_normalisation,
)  # fmt: skip
"""Rules that say more exactly what is done to the images."""


def _is_known_otherwise(case: Case) -> bool:
    return any(isinstance(rule(case), Finding) for rule in _KNOWN_OTHERWISE)


def _finding(title: str, confidence: float, evidence: list[Evidence], causes: tuple[str, ...]) -> Finding:
    remedies = {
        "channels-swapped": "repair_normalisation", "inputs-not-normalised": "repair_normalisation",
        "augmentation-too-strong": "weaker_augmentation", "evaluation-preprocessing": "repair_evaluation",
    }  # fmt: skip
    return Finding(
        code=IMAGES,
        title=title,
        severity="pipeline",
        confidence=confidence,
        evidence=tuple(evidence),
        causes=causes,
        refuted_by="an augmentation of your own that is meant",
        next_test="save one training batch as pictures, beside the files they come from",
        remedies=tuple(dict.fromkeys(remedies[cause] for cause in causes)),
    )
