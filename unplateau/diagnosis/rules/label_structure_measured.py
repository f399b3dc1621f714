"""Labels belong to other images, to several people, or to a part of one.

What it is
    Three patterns beyond "labels are shuffled". Shifted: labels agree with how people look once they are rolled by a place or two
    within the batch. Merged: images of one label and one camera look like strangers, and yet have neighbours of their label.
    Split: in the trained features most labels have a twin that is as near as their own images.

Why it happens
    An index that is off by one between images and labels (images sorted, labels not; a list that skips its first line); two
    data sets joined whose ids overlap; one person numbered anew in each camera or tracklet.

How it was seen
    Cysu/open-reid#24: an indexing bug in the miner. Person ids of two data sets overlap whenever they are joined without an
    offset.

What to do
    Show ten images of three labels; for twins, ten images of both.

Source
    Looks are told by the colours of clothes in stripes (Gray and Tao 2008), without a network; see `probes.label_structure`.
    Thresholds ours.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

_SOURCE = "probe label_structure"
_TIMES_CHANCE = 3.0  # below it looks say too little of people to judge labels by
_BETTER = 1.25  # shifted over unshifted agreement
_STRANGERS = 0.22
_TWINS = 0.4
_FAR_LARGER, _STRANGERS_INSIDE = 3.0, 0.3
_STRANGERS_ACROSS, _WITHIN = 0.36, 0.6
OTHER_COUNT = 1.02  # times
_SEVERAL = 0.05
_FEWEST_IMAGES = 100


def judge_shift(case: Case) -> Verdict:
    """Fire where labels fit better once they are rolled."""
    here, chance = _agreement(case), case.measured("label_agreement_chance").get("")
    shifted = case.measured("label_agreement_shifted")
    if here is None or chance is None or not shifted:
        return None
    shift, best = max(shifted.items(), key=lambda item: item[1])
    if best < _BETTER * here or best < _TIMES_CHANCE * chance:
        return None
    text = f"{best:.1%} of the images that look alike share the label once labels are rolled by {shift}, {here:.1%} as they are"
    return Finding(
        code="labels-shifted",
        title="Labels are shifted against their images",
        severity="pipeline",
        confidence=0.9,
        evidence=(Evidence(text, best, here, _SOURCE),),
        causes=("labels-off-by-one", "labels-shuffled"),
        refuted_by="ten images of one label that show one person",
        next_test="show one batch with its labels",
        remedies=("relabel",),
    )


def judge_merged(case: Case) -> Verdict:
    """Fire where people of one label look like strangers in one camera, though labels do agree with looks."""
    confusion, here, chance = (
        case.measured("pair_confusion").get(""),
        _agreement(case),
        case.measured("label_agreement_chance").get(""),
    )
    if confusion is None or here is None or chance is None or case.measured("label_images").get("", 0.0) < _FEWEST_IMAGES:
        return None
    if confusion < _STRANGERS or here < _TIMES_CHANCE * chance:
        return None
    text = f"of images of other labels, {confusion:.0%} look nearer than one of the same label and camera (0 to 15 % is usual)"
    return Finding(
        code="labels-mixed",
        title="Images of one label look like several people",
        severity="data",
        confidence=0.7,
        evidence=(Evidence(text, confusion, 0.1, _SOURCE),),
        causes=("identities-merged", "labels-noisy"),
        refuted_by="ten images of one label that show one person",
        next_test="show all images of one label in one camera",
        remedies=("relabel",),
    )


def judge_largest(case: Case) -> Verdict:
    """Fire where the label with the most images holds strangers."""
    times, confusion = case.measured("largest_label").get(""), case.measured("pair_confusion").get("largest label")
    if times is None or confusion is None or times < _FAR_LARGER or confusion < _STRANGERS_INSIDE:
        return None
    text = f"one label has {times:.1f} times the usual number of images, and of other labels' images {confusion:.0%} look nearer"
    return Finding(
        code="labels-mixed",
        title="One label is a collection of strangers",
        severity="data",
        confidence=0.75,
        evidence=(Evidence(text, confusion, 0.1, _SOURCE),),
        causes=("identities-merged", "labels-noisy"),
        refuted_by="ten images of the largest label that show one person",
        next_test="show thirty images of the label with the most images",
        remedies=("relabel",),
    )


def judge_across(case: Case) -> Verdict:
    """Fire where labels fit within each camera and not from camera to camera."""
    confusion = case.measured("pair_confusion")
    within, across = confusion.get(""), confusion.get("across cameras")
    if across is None or across < _STRANGERS_ACROSS or case.measured("label_images").get("", 0.0) < _FEWEST_IMAGES:
        return None
    if within is not None and within > _WITHIN * across:
        return None  # noise everywhere: `judge_merged`
    text = (
        f"of images of other labels, {across:.0%} look nearer than one of the same label in another camera (10 to 25 % is usual)"
    )
    return Finding(
        code="labels-mixed",
        title="Labels fit within each camera and not from one to the next",
        severity="data",
        confidence=0.8,
        evidence=(Evidence(text, across, 0.2, _SOURCE), Evidence("within a camera", within, 0.1, _SOURCE)),
        causes=("identities-merged", "identities-split", "labels-noisy"),
        refuted_by="ten images of one label from several cameras that show one person",
        next_test="show all images of three labels, camera by camera",
        remedies=("relabel",),
    )


def people_over_told(case: Case) -> float | None:
    """Return the number of people that was counted over the one that was told; None where either is not known."""
    told, counted = case.facts.num_identities, case.measured("num_identities").get("")
    return counted / told if told and counted is not None else None


def judge_count(case: Case) -> Verdict:
    """Fire where the training counts another number of people than it is said to have."""
    times = people_over_told(case)
    if times is None or 1 / OTHER_COUNT < times < OTHER_COUNT:
        return None
    told, counted, more = case.facts.num_identities or 0, case.measured("num_identities")[""], times > 1
    return Finding(
        code="labels-have-twins" if more else "labels-mixed",
        title=f"The training counts {counted:.0f} people, and is said to have {told}",
        severity="data",
        confidence=0.7,
        evidence=(Evidence(f"{counted:.0f} labels, {told} people", counted, float(told), _SOURCE),),
        causes=("identities-split", "duplicates") if more else ("identities-merged", "too-few-identities"),
        refuted_by="a number of people that was told wrongly",
        next_test="list the labels with their files, and look for one person under several of them",
        remedies=("relabel", "clean_images") if more else ("relabel", "more_identities"),
    )


def judge_files(case: Case) -> Verdict:
    """Fire where one picture is listed under several labels."""
    share = case.measured("files_of_several_labels").get("")
    if share is None or share < _SEVERAL:
        return None
    text = f"{share:.0%} of the pictures are listed under more than one label"
    return Finding(
        code="labels-have-twins",
        title="The same pictures are listed under several labels",
        severity="data",
        confidence=0.95,
        evidence=(Evidence(text, share, 0.0, "probe images_of_files"),),
        causes=("identities-split", "duplicates"),
        refuted_by="files that differ, though their pixels agree at this size",
        next_test="list files of equal content with their labels",
        remedies=("relabel", "clean_images"),
    )


def judge_twins(case: Case) -> Verdict:
    """Fire where most labels have a twin in the trained features."""
    share = case.measured("twin_labels").get("")
    if share is None or share < _TWINS or not _knows_people(case):
        return None
    return Finding(
        code="labels-have-twins",
        title="Most labels have a twin that looks the same to the network",
        severity="data",
        confidence=0.7,
        evidence=(Evidence(f"{share:.0%} of the labels have a twin", share, 0.0, _SOURCE),),
        causes=("identities-split", "labels-noisy"),
        refuted_by="two labels called twins that show two people",
        next_test="show ten images of a label beside ten of its twin",
        remedies=("relabel",),
    )


def _knows_people(case: Case) -> bool:
    """Whether neighbours in the trained features share a label at all: in features that say nothing every label has a twin."""
    seen, chance = (case.measured(name).get("plain view") for name in ("label_agreement", "label_agreement_chance"))
    return seen is None or chance is None or seen > _TIMES_CHANCE * chance


def _agreement(case: Case) -> float | None:
    return case.measured("label_agreement").get("colours")
