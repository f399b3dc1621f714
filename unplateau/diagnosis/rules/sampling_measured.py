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

from dataclasses import replace

from unplateau.diagnosis.case import AS_CONFIGURED, Case
from unplateau.diagnosis.rules import label_structure_measured
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

_SOURCE = "probe sampling"
_SAME = 0.95
_SEEN = 0.6  # of the people that random draws would show
_FEWEST_PEOPLE, _FEWEST_IMAGES_SHARE = 3.5, 0.6
_OF_THE_BATCH = 0.75
_WITH_POSITIVE = 0.9
_PEOPLE = 4.0  # times chance: look-alikes share a label, so labels are people
_CROWDED, _TIMES_CHANCE = 0.35, 3.0
_SEVERAL_CAMERAS = 0.6
_ALL_LISTED = 0.98  # of the classifier's people; classifiers are built from the list
_OF_MEANT = 0.85  # of what the configured sampler draws from the same list
_APART = 0.15  # of the draws


def judge_order(case: Case) -> Verdict:
    """Fire where an epoch repeats the last."""
    same = case.measured("same_order_next_epoch").get("")
    if same is None or same < _SAME:
        return None
    text = f"{same:.0%} of the labels stand at the same place in two epochs"
    return _finding("not-shuffled", "Nothing is shuffled: epochs repeat each other", Evidence(text, same, 0.0, _SOURCE))


def judge_listed(case: Case) -> Verdict:
    """Fire where the list of training images has labels for a part of the classifier's people only."""
    listed = case.measured("labels_listed").get("")
    if listed is None or listed >= _ALL_LISTED:
        return None
    text = f"the list of training images has {listed:.0%} of the labels that the classifier has places for"
    found = _finding(
        "too-few-identities", "The list of files has far fewer labels than the classifier", Evidence(text, listed, 1.0, _SOURCE)
    )
    if listed < _SEEN:
        return replace(found, causes=("identities-merged", "too-few-identities"), remedies=("relabel", "more_identities"))
    causes = ("labels-off-by-one", "labels-shuffled", "identities-merged", "too-few-identities")
    title = "The classifier has places for labels that no image carries"
    return replace(found, title=title, confidence=0.7, causes=causes, remedies=("relabel", "more_identities"))


def judge_people(case: Case) -> Verdict:
    """Fire where far fewer people come up than random draws would show; sure only where labels are known to be people."""
    seen, expected = case.measured("identities_seen").get(""), case.measured("identities_expected").get("")
    meant = case.measured("identities_seen").get(AS_CONFIGURED) if not _is_smaller_than_meant(case) else None
    if seen is None or expected is None or seen >= (_SEEN * expected if meant is None else _OF_MEANT * meant):
        return None
    if isinstance(label_structure_measured.judge_merged(case), Finding):
        return None  # labels that hold several people leave others without any
    expected = expected if meant is None else meant
    text = f"{seen:.0%} of the people come up in batches that should show {expected:.0%}"
    found = _finding(
        "too-few-identities", "Most people of the training set are never drawn", Evidence(text, seen, expected, _SOURCE)
    )
    if _labels_are_people(case):
        return found
    causes = (*found.causes, "identities-merged", "labels-shuffled")
    return replace(found, confidence=0.6, causes=causes)


def judge_batch(case: Case) -> Verdict:
    """Fire on a batch of two or three people, or one that is smaller than configured."""
    people, images = case.measured("identities_in_batch_mean").get(""), case.measured("images_in_batch").get("")
    asked = case.facts.batch_size
    if people is None or images is None or people <= 1:
        return None
    meant = case.measured("identities_in_batch_mean").get(AS_CONFIGURED, 0.0)
    if people >= max(_FEWEST_PEOPLE, _OF_MEANT * meant) and (asked is None or images >= _FEWEST_IMAGES_SHARE * asked):
        return None
    text = f"{images:.0f} images of {people:.1f} people a batch" + ("" if asked is None else f", configured {asked} images")
    found = _finding("batch-too-small", "The batch is too small", Evidence(text, images, asked, _SOURCE))
    is_as_asked = asked is None or images >= _FEWEST_IMAGES_SHARE * asked
    return found if is_as_asked else replace(found, remedies=("repair_sampling",))


def judge_passes(case: Case) -> Verdict:
    """Fire where the training step puts a batch through the model in pieces, or a part of it alone."""
    rows = case.measured("rows_in_pass").get("")
    if rows is None or rows > _OF_THE_BATCH:
        return None
    text = f"the model is shown {rows:.0%} of a batch at once, at most"
    found = _finding(
        "batch-too-small", "A batch goes through the model in pieces", Evidence(text, rows, 1.0, "one training step")
    )
    return replace(found, remedies=("repair_step", "larger_batch"))


def judge_pairs(case: Case) -> Verdict:
    """Fire where a metric loss is trained and many images have no partner in their batch, or everybody in it is one person."""
    share, people = case.measured("batch_with_positive").get(""), case.measured("identities_in_batch_mean").get("", 2.0)
    if share is None or not case.facts.triplet_weight or (share >= _WITH_POSITIVE and people > 1):
        return None
    if people > 1 and has_strangers_alike(case):
        return None  # `judge_split`
    lonely = f"{1 - share:.0%} of the images have no second image of their person in the batch"
    text = lonely if people > 1 else "all images of a batch show one person: there is nothing to push away"
    found = _finding("no-positives", "Batches are not drawn P x K", Evidence(text, share, 1.0, _SOURCE))
    return found if (case.facts.num_instances or 1) > 1 else replace(found, remedies=("use_pk_sampling",))


def judge_cameras(case: Case) -> Verdict:
    """Fire where a person's images in a batch are all of one camera, though the person is seen by several."""
    together, apart = case.measured("same_camera_in_batch").get(""), case.measured("same_camera_of_label").get("")
    if together is None or apart is None or together < _SAME or apart > _SEVERAL_CAMERAS or not case.facts.triplet_weight:
        return None
    text = f"{together:.0%} of the pairs of one label in a batch are of one camera, {apart:.0%} of those in different batches too"
    found = _finding(
        "no-positives", "A batch shows each person in one camera only", Evidence(text, together, apart, "probe label_stability")
    )
    return replace(found, confidence=0.8, causes=("no-pk-sampling", "no-positives", "not-shuffled"))


def judge_drawn(case: Case) -> Verdict:
    """Fire where some cameras, or some people, are drawn far more often than the configured sampler draws them."""
    apart, chance = case.measured("drawn_apart"), case.measured("drawn_apart_by_chance")
    if _is_smaller_than_meant(case):
        return None  # smaller batches show fewer people: `judge_batch`
    off = [of for of, share in apart.items() if share > _APART + _TIMES_CHANCE * chance.get(of, 0.0)]
    if not off or ("people" in off and "cameras" not in off and not _labels_are_people(case)):
        return None
    of = "cameras" if "cameras" in off else "people"
    text = f"{apart[of]:.0%} of the draws go to other {of} than the configured sampler's ({chance.get(of, 0.0):.0%} by chance)"
    found = _finding(
        "too-few-identities",
        f"Some {of} are drawn far more often than others",
        Evidence(text, apart[of], chance.get(of), _SOURCE),
    )
    return replace(found, confidence=0.7, causes=(*found.causes, "no-pk-sampling"))


def _is_smaller_than_meant(case: Case) -> bool:
    people = case.measured("identities_in_batch_mean")
    return people.get("", 0.0) < _OF_MEANT * people.get(AS_CONFIGURED, 0.0)


def _labels_are_people(case: Case) -> bool:
    same, chance = case.measured("same_label").get("other batches"), case.measured("same_label_chance").get("other batches", 1.0)
    return same is not None and same > _PEOPLE * chance


def has_strangers_alike(case: Case) -> bool:
    """Return whether look-alikes of other labels crowd in the batch: people are drawn K times, and their labels differ."""
    share, chance = case.measured("look_alikes_in_batch").get(""), case.measured("look_alikes_by_chance").get("", 1.0)
    return share is not None and share > max(_CROWDED, _TIMES_CHANCE * chance)


def judge_split(case: Case) -> Verdict:
    """Fire where people are drawn K times, as their looks say, and their labels differ."""
    share, people = case.measured("batch_with_positive").get(""), case.measured("identities_in_batch_mean").get("", 2.0)
    if share is None or share >= _WITH_POSITIVE or people <= 1 or not has_strangers_alike(case):
        return None
    alike, chance = case.measured("look_alikes_in_batch")[""], case.measured("look_alikes_by_chance").get("", 0.0)
    text = f"{alike:.0%} of the images have their look-alike of another label in the batch ({chance:.0%} by chance)"
    return Finding(
        code="labels-split-in-batch",
        title="Images that look alike are drawn together, and carry different labels",
        severity="pipeline",
        confidence=0.7,
        evidence=(Evidence(f"{1 - share:.0%} of the images have no partner in the batch", share, 1.0, _SOURCE),
                  Evidence(text, alike, chance, "probe label_structure")),
        causes=("identities-split", "labels-shuffled"),
        refuted_by="look-alikes that are different people",
        next_test="show one batch with its labels",
        remedies=("relabel",),
    )  # fmt: skip


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
    "not-shuffled": (("not-shuffled", "too-few-identities"), "restore_shuffling", "an order that differs from epoch to epoch"),
    "too-few-identities": (("too-few-identities", "not-shuffled"), "repair_sampling", "an epoch that shows everybody"),
    "batch-too-small": (("batch-too-small",), "larger_batch", "the same recipe with a larger batch that is no better"),
    "no-positives": (("no-pk-sampling", "no-positives"), "repair_sampling", "batches of several people, several images each"),
}
