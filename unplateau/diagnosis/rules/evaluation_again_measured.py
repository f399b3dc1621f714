"""The evaluation, done again by plain means, gives something else; or sets of pictures are of different kinds.

What it is
    Files of the held-out people are read one by one, prepared as configured and embedded by the trained weights. Images,
    embeddings, ids and score are compared with what the run hands to its network, ranks and logs. Apart from that, a linear rule
    on contrast, sharpness and borders tries to tell queries from gallery and training pictures from both.

Why it happens
    Another crop, size, order of channels or of bytes in evaluation; an old copy of the model; train mode; rows of embeddings and
    of ids in another order; a gallery that was cropped by another detector or compressed anew.

How it was seen
    deep-person-reid#348, #497; fast-reid#173; planted in our benchmark in a dozen ways; each left the losses healthy.

What to do
    Embed ten images by hand and compare with the rows that are ranked. Look at ten pictures of each set side by side.

Source
    Lopez-Paz and Oquab 2017 for telling sets apart; thresholds ours. A repetition needs none: healthy runs agree in every row.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.rules import files_measured
from unplateau.diagnosis.rules.motion_measured import has_hidden_layers
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

AGAIN, KINDS = "evaluation-not-repeated", "pictures-of-two-kinds"
_SOURCE = "probe evaluation_again"
_ROWS = 0.05  # share
_BATCH_DIFFERENCE = 0.05
_OTHER_SCORE = 0.05  # mAP
_BLANK = 0.1
_STRANGERS, _STRANGERS_ACROSS, _WORSE, _ACROSS = 0.22, 0.36, 1.8, "evaluation, across cameras"
_TOLD_APART = 0.9  # 0.5 = not at all


def judge(case: Case) -> Verdict:
    """Fire where images, embeddings, ids or score are others than those of the repetition."""
    if files_measured.are_not_found(case) and max(case.measured("evaluation_images_differ").values(), default=0.0) > _ROWS:
        return None  # training and evaluation alike: `files_measured`
    evidence: list[Evidence] = []
    causes: list[str] = []
    for name, what, named in _STAGES:
        worst = max(case.measured(name).values(), default=0.0)
        if worst > _ROWS:
            evidence.append(Evidence(f"{worst:.0%} of the {what}", worst, 0.0, _SOURCE))
            causes += [] if causes else _of_rows(case) if name == "evaluation_rows_differ" else list(named)
    if (told := _score(case)) is not None:
        evidence.append(told)
        causes += [] if causes else ["evaluation-preprocessing", "stale-weights-evaluated", "same-camera-not-filtered"]
    if not evidence:
        return None
    confidence = 0.7 if has_hidden_layers(case) else 0.95
    return _finding(AGAIN, "The evaluation is not what the trained weights give", confidence, evidence, causes)


def judge_kinds(case: Case) -> Verdict:
    """Fire where sets of one origin are told apart by how their pictures look."""
    apart = {group: value for group, value in case.measured("sets_told_apart").items() if value > _TOLD_APART}
    if not apart:
        return None
    lines = [
        Evidence(f"{group}: told apart with probability {value:.2f}, by looks alone", value, 0.5, "probe sets_told_apart")
        for group, value in apart.items()
    ]
    causes = ["evaluation-preprocessing"] + ([] if "queries | gallery" in apart else ["augmentation-too-strong"])
    sets = " and ".join(apart)
    return _finding(KINDS, f"Pictures of one held-out split are of two kinds: {sets}", 0.7, lines, causes)


def judge_blank(case: Case) -> Verdict:
    """Fire where a part of the images that are searched, or searched for, is of one colour."""
    blank = {name: case.measured("blank_images").get(name, 0.0) for name in ("query", "gallery")}
    if max(blank.values()) < _BLANK:
        return None
    lines = [
        Evidence(f"{share:.0%} of the {name} images are of one colour", share, 0.0, _SOURCE) for name, share in blank.items()
    ]
    causes = ["blank-images", "evaluation-preprocessing"]
    return _finding(AGAIN, "Images that are ranked are blank", 0.9, lines, causes)


def judge_people(case: Case) -> Verdict:
    """Fire where images of one id of the evaluation look like strangers, though training's do not."""
    confusion = case.measured("pair_confusion")
    for group, trained, least in (("evaluation", "", _STRANGERS), (_ACROSS, "across cameras", _STRANGERS_ACROSS)):
        there, here = confusion.get(group), confusion.get(trained)
        if there is not None and here is not None and there > max(least, _WORSE * here):
            text = f"{there:.0%} of others look nearer than an image of the same id ({here:.0%} among training images)"
            causes = ["evaluation-preprocessing"]
            return _finding(
                AGAIN, "Ids of the evaluation are several people", 0.8, [Evidence(text, there, here, _SOURCE)], causes
            )
    return None


_STAGES = (
    ("evaluation_images_differ", "images reach the network otherwise than their files, prepared as configured", (
        "evaluation-preprocessing", "channels-swapped")),
    ("evaluation_rows_differ", "embeddings that are ranked are not those of the trained weights", ()),
    ("evaluation_people_differ", "person ids that are ranked are not those of the files", ("evaluation-preprocessing",)),
    ("evaluation_cameras_differ", "camera ids that are ranked are not those of the files", ("camera-ids-wrong",)),
)  # fmt: skip


def _of_rows(case: Case) -> list[str]:
    if case.measured("batch_difference").get("", 0.0) > _BATCH_DIFFERENCE:
        return ["evaluated-in-train-mode", "stale-weights-evaluated"]
    return ["stale-weights-evaluated", "evaluation-preprocessing"]


def _score(case: Case) -> Evidence | None:
    """The mAP that was logged for these weights is not that of the repetition, which took every image."""
    curve, epoch, again = case.curve("mAP"), case.measured("epoch_of_weights").get(""), case.measured("map_again").get("")
    if curve is None or epoch is None or again is None or curve.unit != "epoch" or float(curve.x[-1]) != epoch:
        return None
    logged = float(curve.y[-1])
    if abs(logged - again) < _OTHER_SCORE or min(case.measured("evaluation_share").values(), default=0.0) < 1:
        return None
    text = f"the run logged a mAP of {logged:.1%} for these weights, the repetition gives {again:.1%}"
    return Evidence(text, logged, again, _SOURCE)


def _finding(code: str, title: str, confidence: float, evidence: list[Evidence], causes: list[str]) -> Finding:
    return Finding(
        code=code,
        title=title,
        severity="pipeline",
        confidence=confidence,
        evidence=tuple(evidence),
        causes=tuple(dict.fromkeys(causes)),
        refuted_by="an evaluation that is meant to differ, such as a test set of another origin",
        next_test="embed ten files by hand and compare with the rows that are ranked",
        remedies=("repair_evaluation",) if "camera-ids-wrong" not in causes else ("repair_camera_ids", "repair_evaluation"),
    )
