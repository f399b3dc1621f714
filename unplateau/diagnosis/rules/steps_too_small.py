"""Everything learns, and hardly anything: the steps are smaller than the learning rate says.

What it is
    The rate is as usual. The cross-entropy stays at its start, to the second digit; the triplet loss falls, and stays far above
    its margin; mAP hardly moves. Both parts of the network move in the right direction, by next to nothing.

Why it happens
    An epsilon of Adam above the size of the gradients (epsilon-too-large), which turns Adam into gradient descent at a tiny rate;
    clipping to a tiny norm (gradient-clipped-away); a rate that is changed after it is logged (learning-rate-too-low).

How it was seen
    Planted in PlateauBench: epsilon 10 for Adam.

What to do
    Adam's epsilon is 1e-8. Print the norm of the gradient before and after clipping, and the rate of every parameter group.
    With our trainer, or with --run D --probe, the gradient that arrives and the length of a step are measured.

Source
    Kingma and Ba 2015, section 2.1: Adam moves a weight by about the rate, whatever the gradient's scale.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case, Curve
from unplateau.diagnosis.landmarks_of import collapsed_triplet, matching_start
from unplateau.diagnosis.schedule_view import in_warm_up, is_rate_off, rate_over_usual
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "steps-too-small"
_FEWEST_POINTS = 6
_FALLS = 0.15  # of the triplet loss's first value; that of frozen features wanders by a few per cent
_FAR_ABOVE = 2.0  # times its margin; unlearnable labels bring it down to the margin
_STILL = 0.06  # nats from end to end
_HARDLY = 1.5  # times the first mAP
_USUAL = 0.1  # of the rate of published recipes; below it the rate itself is the cause


def judge(case: Case) -> Verdict:
    """Fire where the rate is as usual and losses and mAP move by next to nothing."""
    loss, triplet, score = case.curve("cross_entropy"), case.curve("triplet"), case.curve("mAP")
    if loss is None or triplet is None or score is None or min(len(loss.y), len(triplet.y)) < _FEWEST_POINTS:
        return None
    ratio = rate_over_usual(case)
    if ratio is None or ratio < _USUAL or in_warm_up(case) or is_rate_off(case) or not is_hardly_learning(case, loss, triplet):
        return None
    return Finding(
        code=CODE,
        title="Hardly anything is learned: the steps are smaller than the learning rate says",
        severity="pipeline",
        confidence=0.6,
        evidence=(
            Evidence(f"cross-entropy from {loss.first:.3f} to {loss.latest:.3f}", loss.latest, loss.first, loss.where()),
            Evidence(
                f"triplet loss from {triplet.first:.2f} to {triplet.latest:.2f}, far above its margin",
                triplet.latest, collapsed_triplet(case), triplet.where(),
            ),
            Evidence(f"mAP from {score.first:.2%} to {score.latest:.2%}", score.latest, score.first, score.where()),
        ),
        causes=("epsilon-too-large", "gradient-clipped-away", "learning-rate-too-low"),
        refuted_by="a step that moves the weights by a thousandth of their length",
        next_test="motion of the weights in one step (unplateau.watch, or --run D --probe), and Adam's epsilon",
        remedies=("higher_learning_rate", "loosen_clipping"),
    )  # fmt: skip


def is_hardly_learning(case: Case, loss: Curve, triplet: Curve) -> bool:
    """Return whether the classifier is at its start while features improve a little and end far from where they could."""
    score = case.curve("mAP")
    falls = triplet.latest < (1 - _FALLS) * triplet.first and triplet.latest > _FAR_ABOVE * collapsed_triplet(case)
    unmoved = score is not None and score.latest < _HARDLY * score.first
    return falls and unmoved and loss.is_stationary(_STILL) and matching_start(case, loss) is not None
