"""Batches are not drawn as metric learning needs them.

What it is
    The labels of a few batches of two epochs show how images are drawn: how many images and people are in a batch, how many have
    a second image of their person there, how many people come up at all, and whether the next epoch repeats the order.

Why it happens
    A sampler that is not handed to the loader (shuffle=False is its default), PK sampling left out, a filter that drops most
    people, a batch divided among processes once too often.

How it was seen
    TransReID#25: batch 12 costs 10 points on VeRi. pytorch-metric-learning#268: no active triplets.

What to do
    P x K sampling with K = 4 and at least 8 people a batch, drawn anew in every epoch.

Source
    Hermans 2017, section 2 (P x K batches). Thresholds ours: published recipes have 16 people a batch, our smallest healthy
    recipe 4, and every image has a second one.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.rules import label_structure_measured
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

_SOURCE = "probe sampling"
_SAME = 0.95
_SEEN = 0.6  # of the people that random draws would show
_FEWEST_PEOPLE, _FEWEST_IMAGES_SHARE = 3.5, 0.6
_WITH_POSITIVE = 0.9


def judge_order(case: Case) -> Verdict:
    """Fire where an epoch repeats the last."""
    same = case.measured("same_order_next_epoch").get("")
    if same is None or same < _SAME:
        return None
    text = f"{same:.0%} of the labels stand at the same place in two epochs"
    return _finding("not-shuffled", "Nothing is shuffled: epochs repeat each other", Evidence(text, same, 0.0, _SOURCE))


def judge_people(case: Case) -> Verdict:
    """Fire where far fewer people come up than random draws would show."""
    seen, expected = case.measured("identities_seen").get(""), case.measured("identities_expected").get("")
    if seen is None or expected is None or seen >= _SEEN * expected:
        return None
    if isinstance(label_structure_measured.judge_merged(case), Finding):
        return None  # labels that hold several people leave others without any
    text = f"{seen:.0%} of the people come up in batches that should show {expected:.0%}"
    return _finding(
        "too-few-identities", "Most people of the training set are never drawn", Evidence(text, seen, expected, _SOURCE)
    )


def judge_batch(case: Case) -> Verdict:
    """Fire on a batch of two or three people, or one that is smaller than configured."""
    people, images = case.measured("identities_in_batch_mean").get(""), case.measured("images_in_batch").get("")
    asked = case.facts.batch_size
    if people is None or images is None or people <= 1:
        return None
    if people >= _FEWEST_PEOPLE and (asked is None or images >= _FEWEST_IMAGES_SHARE * asked):
        return None
    text = f"{images:.0f} images of {people:.1f} people a batch" + ("" if asked is None else f", configured {asked} images")
    return _finding("batch-too-small", "The batch is too small", Evidence(text, images, asked, _SOURCE))


def judge_pairs(case: Case) -> Verdict:
    """Fire where a metric loss is trained and many images have no partner in their batch, or everybody in it is one person."""
    share, people = case.measured("batch_with_positive").get(""), case.measured("identities_in_batch_mean").get("", 2.0)
    if share is None or not case.facts.triplet_weight or (share >= _WITH_POSITIVE and people > 1):
        return None
    lonely = f"{1 - share:.0%} of the images have no second image of their person in the batch"
    text = lonely if people > 1 else "all images of a batch show one person: there is nothing to push away"
    return _finding("no-positives", "Batches are not drawn P x K", Evidence(text, share, 1.0, _SOURCE))


def _finding(code: str, title: str, evidence: Evidence) -> Finding:
    causes, remedy, refuted = _MEANING[code]
    return Finding(
        code=code,
        title=title,
        severity="pipeline",
        confidence=0.9,
        evidence=(evidence,),
        causes=causes,
        refuted_by=refuted,
        next_test="print the labels of two batches of two epochs",
        remedies=(remedy,),
    )


_MEANING: dict[str, tuple[tuple[str, ...], str, str]] = {
    "not-shuffled": (("not-shuffled",), "restore_shuffling", "an order that differs from epoch to epoch"),
    "too-few-identities": (("too-few-identities", "not-shuffled"), "more_identities", "an epoch that shows everybody"),
    "batch-too-small": (("batch-too-small",), "larger_batch", "the same recipe with a larger batch that is no better"),
    "no-positives": (("no-pk-sampling", "no-positives"), "use_pk_sampling", "batches of several people, several images each"),
}
