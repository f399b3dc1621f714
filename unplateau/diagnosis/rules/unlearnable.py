"""There is nothing to learn from these images and labels.

What it is
    The cross-entropy stays where knowing nothing puts it, the triplet loss falls to its margin and stays there, and mAP does not
    rise. The weights move: the triplet loss finds its best answer where positives are no nearer than negatives, which is to make
    all distances alike.

Why it happens
    Labels that do not belong to their images; images that are blank, the same picture again and again, or hidden by augmentation.
    A rate that is far too high ends there too.

How it was seen
    Cysu/open-reid#24: d_an as large as d_ap, through an indexing bug. Planted in PlateauBench: one picture for all rows of a
    batch, augmentation that covers the person.

What to do
    Look at one batch, as it enters the network, with its labels.

Source
    Hermans 2017, section 3.2; Karpathy, A Recipe for Training Neural Networks: "become one with the data".
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case, Curve
from unplateau.diagnosis.landmarks_of import collapsed_triplet, matching_start, uniform
from unplateau.diagnosis.schedule_view import in_warm_up, is_rate_off
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "nothing-to-learn"
_FEWEST_POINTS = 6
_AT_MARGIN = 1.5  # times the triplet loss of a collapse
_BEGAN_ABOVE = 1.5  # times where it ends
_UNMOVED = 1.4  # times the first mAP
_STILL, _NEAR_UNIFORM = 0.08, 0.08  # nats


def judge(case: Case) -> Verdict:
    """Fire where cross-entropy and mAP stand still and the triplet loss has gone to its margin."""
    loss, triplet = case.curve("cross_entropy"), case.curve("triplet")
    score = case.curve("mAP")
    if loss is None or triplet is None or score is None or min(len(loss.y), len(triplet.y)) < _FEWEST_POINTS:
        return None
    if in_warm_up(case) or is_rate_off(case) or not is_unlearnable(case, loss, triplet):
        return None
    return Finding(
        code=CODE,
        title="Nothing can be learned from these images and labels",
        severity="data",
        confidence=0.6,
        evidence=(
            Evidence(
                f"cross-entropy {loss.level:.3f}, flat where knowing nothing puts it", loss.level, uniform(case), loss.where()
            ),
            Evidence(
                f"triplet loss down to {triplet.latest:.2f}, at its margin",
                triplet.latest,
                collapsed_triplet(case),
                triplet.where(),
            ),
            Evidence(f"mAP from {score.first:.2%} to {score.latest:.2%}", score.latest, score.first, score.where()),
        ),
        causes=("labels-shuffled", "augmentation-too-strong", "blank-images", "duplicates", "labels-off-by-one"),
        refuted_by="a batch of pictures in which people are seen and labels are right",
        next_test="save one batch, as it enters the network, with its labels as pictures; or --run D --probe",
        remedies=("relabel", "clean_images", "weaker_augmentation"),
    )


def is_unlearnable(case: Case, loss: Curve, triplet: Curve) -> bool:
    """Return whether the triplet loss has gone to its margin while cross-entropy and mAP stand still."""
    score, start, ln_i = case.curve("mAP"), matching_start(case, loss), uniform(case)
    level = start.start.mean if start is not None else ln_i
    still = level is not None and abs(loss.level - level) <= _NEAR_UNIFORM and loss.is_stationary(_STILL)
    at_margin = triplet.latest <= _AT_MARGIN * collapsed_triplet(case) and triplet.first > _BEGAN_ABOVE * triplet.latest
    return still and at_margin and score is not None and score.latest < _UNMOVED * score.first
