"""The number of identities is not known, and the loss lies where a published data set would start.

What it is
    The start of the cross-entropy depends on the number of people. Where the log does not say it, the numbers of the published
    data sets are tried. A flat loss at one of these starts, with a triplet loss that stays above its margin, speaks for
    weights-not-updated, if the training is on that data set.

Why it happens
    See the page weights-not-updated.

How it was seen
    751 people (Market-1501) and fast-reid's head start at 6.724; a run on it was flat at 6.71-6.73 for 27 epochs.

What to do
    Give the number: --num-identities 751. Then the start is known, and the answer is surer.

Source
    Landmarks (`curves.landmarks`). Neighbouring numbers (751 and 767) are too close to tell apart, so all that fit are named.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case, Curve
from unplateau.diagnosis.landmarks_of import HeadStart, collapsed_triplet, guessed_starts
from unplateau.diagnosis.rules.weights_not_updated import CODE, still_causes
from unplateau.diagnosis.schedule_view import in_warm_up
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

_FEWEST_POINTS = 4
_FEWEST_ITERATIONS = 50
_LATEST_BEGIN = 10  # epochs; a log that begins later may begin on a real plateau
_ABOVE_MARGIN = 1.1
_TRIPLET_DRIFT = 0.12  # of its level, as in `weights_not_updated`
_LEARNED_MAP = 0.1
_LEARNED_ACCURACY = 0.05
_CONFIDENCE, _WITH_SYMPTOM = 0.65, 0.8
_MOST_NAMED = 3


def judge(case: Case) -> Verdict:
    """Fire where a flat cross-entropy lies at the start that a published data set would have, and the features stand still."""
    loss, triplet = case.curve("cross_entropy"), case.curve("triplet")
    if loss is None or triplet is None or case.facts.num_identities is not None or case.has_moved:
        return None
    guesses = guessed_starts(case, loss)
    if not guesses or _is_late_or_early(case, loss) or not _stays(loss, guesses[0][2]):
        return None
    if _has_learned(case) or triplet.level < _ABOVE_MARGIN * collapsed_triplet(case):
        return None
    if len(triplet.y) < _FEWEST_POINTS or not triplet.is_stationary(_TRIPLET_DRIFT * triplet.level):
        return None
    return _finding(case, loss, triplet)


def _is_late_or_early(case: Case, loss: Curve) -> bool:
    begin = loss.x[0] if loss.unit == "epoch" else 0.0
    is_short = len(loss.y) < _FEWEST_POINTS or (loss.unit == "iteration" and loss.span < _FEWEST_ITERATIONS)
    return in_warm_up(case) or is_short or begin > _LATEST_BEGIN


def _stays(loss: Curve, start: HeadStart) -> bool:
    return loss.is_stationary(start.tolerance) and abs(loss.latest - start.start.mean) <= start.tolerance + loss.slope.noise.std


def _has_learned(case: Case) -> bool:
    score, accuracy = case.curve("mAP"), case.curve("accuracy")
    return (score is not None and score.latest > _LEARNED_MAP) or (accuracy is not None and accuracy.latest > _LEARNED_ACCURACY)


def _finding(case: Case, loss: Curve, triplet: Curve) -> Finding:
    guesses = guessed_starts(case, loss)
    name, identities, start = guesses[0]
    others = "; ".join(f"{n} ({i} identities): {s.start.mean:.3f}" for n, i, s in guesses[1:_MOST_NAMED])
    more = f"; it would also fit {others}" if others else ""
    text = (
        f"cross-entropy {loss.y.min():.2f}-{loss.y.max():.2f}, flat; if this is {name} ({identities} identities), an untrained "
        f"classifier starts at {start.start.mean:.3f} ± {start.start.spread:.3f} ({start.head}){more}"
    )
    still = f"triplet loss {triplet.y.min():.2g}-{triplet.y.max():.2g}, flat and above its margin: the features stand still"
    said = "no-inf-checks" in case.symptoms
    symptom = Evidence('"No inf checks were recorded for this optimizer": the optimiser saw no gradient', source="symptom")
    return Finding(
        code=CODE,
        title=f"If this is {name}, the loss is at its initial value: the weights are most likely not updated",
        severity="pipeline",
        confidence=_WITH_SYMPTOM if said else _CONFIDENCE,
        evidence=(
            Evidence(text, loss.level, start.start.mean, loss.where()),
            Evidence(still, triplet.level, collapsed_triplet(case), triplet.where()),
            *((symptom,) if said else ()),
        ),
        causes=still_causes(case),
        refuted_by="another number of identities, or two checkpoints of this run whose weights differ",
        next_test=f"the same command with the true number of training identities, such as --num-identities {identities}; then "
        "solve_plateau.py --checkpoints A B: exactly 0 change is the proof",
        remedies=("fix_optimizer", "restore_learning_rate", "unfreeze", "fix_mixed_precision"),
    )
