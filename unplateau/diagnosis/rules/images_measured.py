"""The pictures themselves: copies, blanks, augmentation, and other preparation for evaluation than for training.

What it is
    Training images of the same people are looked at as evaluation prepares them, without augmentation, beside what training hands
    to the network: copies and blanks among them, whether colours of clothes still tell people apart after augmentation, and
    whether means, contrast and channels agree.

Why it happens
    Files that cannot be decoded come as black; an index bug gives the same picture again and again; erasing, blur and noise at
    strengths of another task; mean and standard deviation or BGR set in one pipeline and not in the other.

How it was seen
    OpenCV reads BGR and PIL RGB; pixel means are on the 0-255 scale in some trainers and on 0-1 in others.

What to do
    Save one training batch and one evaluation batch as pictures and look at them.

Source
    Karpathy, A Recipe for Training Neural Networks: "become one with the data". Colours: Gray and Tao 2008. Thresholds ours.
"""

from __future__ import annotations

from dataclasses import replace

from unplateau.diagnosis.case import AS_CONFIGURED, Case
from unplateau.diagnosis.causes import BY_CODE
from unplateau.diagnosis.rules import label_structure_measured, labels_unstable
from unplateau.diagnosis.verdict import Abstained, Verdict
from unplateau.runs.record import Evidence, Finding

_UNTRAINED_TELL, _COLOURS_TELL, _LEARNED_BY_HEART = 0.65, 0.8, 0.6  # Market-1501: 0.31 and 0.50; gap of mAP
_BLANK, _COPIED, _COPIES_IN_BATCH, _IN_BATCH = 0.05, 0.3, 0.3, 0.7
_FEW_FILES, _USUALLY_FOUND = 0.7, 0.88
_ONE_EACH = 1.15  # pictures a person
_AS_CONFIGURED = 0.05  # of the evaluation images, prepared again from their files
_AGREES_PLAIN, _LEFT, _FEWEST_IMAGES = 5.0, 0.15, 100
_PAIRED = 0.9
_ONE_PICTURE = 0.5
_CHANCES_APART = 3.0  # times; among more people a nearest image is harder to get right, so such shares cannot be compared
_MEAN_APART, _STD_LOW, _STD_HIGH = 0.6, 0.5, 2.0
_LOOKS_SURVIVE, _CLEARLY = 1.0, 0.4
_CHANGES = ("channels reversed", "upside down", "the middle, 0.7", "the middle, 0.55")  # padding explains a larger middle
_BETTER_FOUND = 0.88  # a healthy run's images are found worse in any other way
_SWAPPED, _COLOURS_APART = 0.5, 0.2


def judge_blank(case: Case) -> Verdict:
    """Fire where a share of the images is of one colour."""
    share, noise = case.measured("blank_images").get(""), case.measured("noise_images").get("", 0.0)
    if noise >= _BLANK:
        text = f"{noise:.0%} of the training images are noise: neighbouring pixels say nothing of each other"
        causes, code = ("blank-images",), "blank-images"
        if (stored := case.measured("noise_images").get("files")) is not None and stored < _BLANK:
            text, causes, code = f"{text}; their files are pictures", ("augmentation-too-strong",), "augmentation-too-strong"
        return _finding(code, "Noise is trained on", causes, Evidence(text, noise, 0.0, "probe inputs"))
    if share is None or share < _BLANK or isinstance(judge_augmentation(case), Finding):
        return None  # augmentation that covers most of an image covers some wholly
    evidence = Evidence(f"{share:.0%} of the training images are of one colour", share, 0.0, "probe inputs")
    return _finding("blank-images", "Blank images are trained on", ("blank-images",), evidence)


def judge_copies(case: Case) -> Verdict:
    """Fire where many images are copies of another."""
    if (finding := _one_picture_a_batch(case)) is not None:
        return finding
    copied, alike = case.measured("copied_images").get("", 0.0), case.measured("duplicate_images").get("", 0.0)
    if copied < _COPIED and alike < _COPIES_IN_BATCH:
        return None
    share = max(copied, alike)
    evidence = Evidence(f"{share:.0%} of the training images are copies of others", share, 0.0, "probes inputs and plain view")
    return _finding("copied-images", "Many training images are copies of each other", ("duplicates",), evidence)


def judge_near_copies(case: Case) -> Verdict:
    """Fire where a person's images are told by colours and by weights that learned nothing: frames of one moment."""
    if case.measured("pretrained_asked").get("", 0.0) > 0 or case.measured("copied_images").get("", 0.0) >= _COPIED:
        return None
    agreement = case.measured("label_agreement")
    untrained, colours = agreement.get("plain view, initial weights", 0.0), agreement.get("plain view, colours", 0.0)
    gap = case.measured("train_identity_gap").get("", 0.0)
    if untrained < _UNTRAINED_TELL or colours < _COLOURS_TELL or gap < _LEARNED_BY_HEART:
        return None
    text = f"{untrained:.0%} of the images find their person by the first weights, {colours:.0%} by colours alone"
    found = _finding(
        "copied-images", "A person's images are nearly one picture", ("duplicates",),
        Evidence(text, untrained, 0.1, "probe label_agreement"),
    )  # fmt: skip
    return replace(found, confidence=0.7)


def judge_partners(case: Case) -> Verdict:
    """Fire where the images of a person in a batch are one picture."""
    likeness = case.measured("partner_likeness").get("")
    if likeness is None or likeness > _ONE_PICTURE or case.measured("copied_images").get("", 0.0) >= _COPIED:
        return None
    text = f"images of a label lie {likeness:.2f} times as far apart in a batch as among batches"
    title = "A batch shows each person in one picture only"
    found = _finding(
        "copied-images", title, ("duplicates", "no-pk-sampling"), Evidence(text, likeness, 1.0, "probe label_stability")
    )
    return replace(found, confidence=0.8, remedies=("clean_images", "repair_sampling"))


def judge_files(case: Case) -> Verdict:
    """Fire where training shows far fewer files than the configured sampler draws."""
    share = case.measured("files_in_batch")
    if "" not in share or AS_CONFIGURED not in share or share[""] > _FEW_FILES * share[AS_CONFIGURED]:
        return None
    if case.measured("images_found").get("", 0.0) < _USUALLY_FOUND:
        return None
    text = f"{share['']:.0%} of the first images are different files, {share[AS_CONFIGURED]:.0%} if drawn as configured"
    people, images = (case.measured(name).get("", 0.0) for name in ("identities_in_batch_mean", "images_in_batch"))
    each_once = share[""] * images <= _ONE_EACH * people  # every label has one picture: no pair is one of two images
    causes = ("no-pk-sampling", "duplicates") if each_once else ("duplicates", "too-few-identities", "not-shuffled")
    found = _finding(
        "copied-images", "The same files come up again and again", causes,
        Evidence(text, share[""], share[AS_CONFIGURED], "probe images_of_files"),
    )  # fmt: skip
    return replace(found, confidence=0.8, remedies=("repair_sampling", "clean_images"))


def _one_picture_a_batch(case: Case) -> Finding | None:
    """The image that looks most alike, of another label, stands in the same batch for nearly all images."""
    share, chance = case.measured("look_alikes_in_batch").get(""), case.measured("look_alikes_by_chance").get("", 1.0)
    if (
        share is None
        or share < _IN_BATCH
        or chance > _IN_BATCH / 2
        or case.measured("batch_with_positive").get("", 1.0) < _PAIRED
    ):
        return None  # look-alikes without a shared label in the batch: `sampling_measured.judge_split`
    if isinstance(labels_unstable.judge(case), Finding):
        return None  # people stand together, under the labels of others
    text = (
        f"{share:.0%} of the images have the other label's image that looks most alike in their own batch, {chance:.0%} by chance"
    )
    causes = ("duplicates", "blank-images")
    evidence = Evidence(text, share, chance, "probe label_structure")
    return _finding("copied-images", "A batch shows one picture again and again", causes, evidence)


def judge_augmentation(case: Case) -> Verdict:
    """Fire where looks tell people apart before augmentation and hardly after it."""
    plain, chance = (case.measured(name).get("plain view, colours") for name in ("label_agreement", "label_agreement_chance"))
    seen, other = case.measured("label_agreement").get("colours"), case.measured("label_agreement_chance").get("", 0.0)
    enough = case.measured("label_images").get("", 0.0) >= _FEWEST_IMAGES
    if plain is None or chance is None or seen is None or plain < _AGREES_PLAIN * chance or not enough:
        return None
    if not chance / _CHANCES_APART < other < chance * _CHANCES_APART:
        return Abstained("the batches and the plain view hold too different numbers of people to compare")
    if isinstance(label_structure_measured.judge_shift(case), Finding):
        return None  # labels that are shifted within a batch agree with looks neither
    if _one_picture_a_batch(case) is not None:
        return None
    if (seen - other) / (plain - chance) > _LEFT:
        return None
    if (again := case.measured("looks_found_again").get("")) is not None and again < _LOOKS_SURVIVE:
        return _labels_of_training(plain, seen, again)
    text = f"by the colours of their clothes {plain:.0%} of the nearest images share the label, {seen:.1%} after augmentation"
    evidence = Evidence(text, seen, plain, "probe plain view")
    return _finding("augmentation-too-strong", "Augmentation hides who is to be seen", ("augmentation-too-strong",), evidence)


def _labels_of_training(plain: float, seen: float, again: float) -> Finding:
    """Augmented images are found again by their looks, so it is their labels that do not fit."""
    text = (
        f"by the colours of their clothes {plain:.0%} of the nearest plain images share the label, {seen:.1%} in training batches"
    )
    looks = f"and training images are found again among plain ones (distance {again:.2f} of that of two people)"
    return Finding(
        code="labels-not-of-images",
        title="Labels of the training batches do not belong to their images",
        severity="pipeline",
        confidence=0.7,
        evidence=(Evidence(text, seen, plain, "probe plain view"), Evidence(looks, again, 1.0, "probe clothes_colours")),
        causes=("labels-shuffled", "labels-off-by-one"),
        refuted_by="ten images of one label, out of training batches, that show one person",
        next_test="show one training batch with its labels",
        remedies=("relabel",),
    )


def judge_layout(case: Case) -> Verdict:
    """Fire where evaluation images stand on their heads beside training images."""
    layout, turned = case.measured("preparation_layout").get(""), case.measured("preparation_layout_upside_down").get("")
    if layout is None or turned is None or turned < _CLEARLY or layout > turned - _CLEARLY:
        return None
    text = f"contrast over the picture correlates by {layout:.2f}, and by {turned:.2f} with evaluation images turned over"
    evidence = Evidence(text, layout, 1.0, "probe preparation")
    title = "Evaluation and training show people upside down to each other"
    return _finding("preparation-differs", title, ("evaluation-preprocessing", "augmentation-too-strong"), evidence)


def judge_changed(case: Case) -> Verdict:
    """Fire where training images are found again among evaluation images better once they are changed in a known way."""
    found = case.measured("looks_found_again")
    again = {change: found[change] for change in _CHANGES if change in found}
    straight, best = found.get(""), min(again, key=lambda change: again[change], default=None)
    if straight is None or best is None or again[best] > _BETTER_FOUND * straight or again[best] > _LOOKS_SURVIVE:
        return None
    text = f"training images lie {straight:.2f} usual distances from the nearest of evaluation, {again[best]:.2f} with {best}"
    title = f"Evaluation shows images otherwise than training: they fit with {best}"
    causes: tuple[str, ...] = ("evaluation-preprocessing",)
    causes = ("channels-swapped", *causes) if "channels" in best else causes
    if _is_evaluated_as_configured(case):
        title, causes = (
            f"Training shows images otherwise than configured: they fit with {best}",
            ("augmentation-too-strong", *causes),
        )
    return _finding("preparation-differs", title, causes, Evidence(text, straight, again[best], "probe clothes_colours"))


def _is_evaluated_as_configured(case: Case) -> bool:
    """Whether evaluation images are their files, prepared as configured: what differs is then done in training."""
    return max(case.measured("evaluation_images_differ").values(), default=1.0) <= _AS_CONFIGURED


def judge_preparation(case: Case) -> Verdict:
    """Fire where training and evaluation images differ in mean, contrast or order of channels."""
    mean, ratio = case.measured("preparation_mean_difference").get(""), case.measured("preparation_std_ratio").get("")
    apart, swapped = case.measured("colour_distance").get(""), case.measured("colour_distance_swapped").get("")
    if mean is None or ratio is None or apart is None or swapped is None:
        return None
    if isinstance(judge_augmentation(case), Finding):
        return None  # it changes contrast too
    title = "Evaluation prepares images otherwise than training"
    if mean > _MEAN_APART or not _STD_LOW < ratio < _STD_HIGH:
        text = f"channel means differ by {mean:.2f} standard deviations, contrast by a factor of {ratio:.2f}"
        causes: tuple[str, ...] = ("evaluation-preprocessing", "inputs-not-normalised")
        if _is_evaluated_as_configured(case):
            title = "Training prepares images otherwise than configured, evaluation as configured"
            causes = ("inputs-not-normalised", "augmentation-too-strong", "evaluation-preprocessing")
        return _finding("preparation-differs", title, causes, Evidence(text, ratio, 1.0, "probe preparation"))
    if apart > _COLOURS_APART and swapped < _SWAPPED * apart:
        text = f"the channels' moments are {apart:.2f} apart, {swapped:.2f} with the channels in reverse order"
        causes = ("channels-swapped", "evaluation-preprocessing")
        return _finding("preparation-differs", title, causes, Evidence(text, apart, swapped, "probe preparation"))
    return None


def _finding(code: str, title: str, causes: tuple[str, ...], evidence: Evidence) -> Finding:
    remedy, refuted = _MEANING[code]
    others = tuple(BY_CODE[cause].cure for cause in causes)
    return Finding(
        code=code,
        title=title,
        severity="pipeline",
        confidence=0.8 if code == "augmentation-too-strong" else 0.9,
        evidence=(evidence,),
        causes=causes,
        refuted_by=refuted,
        next_test="save a training batch and an evaluation batch as pictures",
        remedies=tuple(dict.fromkeys((remedy, *others))),
    )


_MEANING = {
    "blank-images": ("clean_images", "pictures that show people"),
    "copied-images": ("clean_images", "files that differ"),
    "augmentation-too-strong": ("weaker_augmentation", "augmented pictures in which one still knows the people"),
    "preparation-differs": ("repair_evaluation", "the same pixels from both pipelines for one file, without augmentation"),
}
