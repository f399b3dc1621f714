"""What was learned is gone from one point of the log to the next.

What it is
    The cross-entropy falls for a while, and then stands where it began: within one point it has lost most of what it had won, and
    the validation mAP with it.

Why it happens
    Weights that were put back to those of the start: a resumed run whose checkpoint was not read, or was overwritten by copies of
    new weights (an optimiser's masters in single precision, an average), a head that is made anew. Or one step far too long.

How it was seen
    DeepSpeed#2101: suspected after resuming. Losses that jump after a restart are asked about wherever runs are resumed.

What to do
    Evaluate the checkpoint by itself, then the model right after loading, then after one step. Where the first is good and the
    second is not, loading is at fault; where the third is not, the step is.

Source
    Field notes. Thresholds ours: an epoch that loses 60 % of the way, of which not a quarter is won again.
"""

from __future__ import annotations

import numpy as np

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.landmarks_of import floor
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "weights-lost"
_WON, _LOST = 0.3, 0.6  # of the way from start to floor; of what was won
_BACK = 0.25  # of what was lost
_SCORE_LOST = 0.5  # of the best
_FEWEST_POINTS = 4


def judge(case: Case) -> Verdict:
    """Fire where one point takes back most of what the cross-entropy had won, mAP falls with it, and it does not return."""
    loss, score, low = case.curve("cross_entropy"), case.curve("mAP"), floor(case)
    if loss is None or score is None or low is None or min(len(loss.y), len(score.y)) < _FEWEST_POINTS:
        return None
    at = int(np.argmax(np.diff(loss.y))) + 1
    before, after = float(loss.y[at - 1]), float(loss.y[at])
    won = float(loss.y[0]) - before
    if won <= 0 or won < _WON * (loss.y[0] - low) or after - before < _LOST * won:
        return None
    if loss.y[at:].min() < after - _BACK * (after - before):
        return None  # it is won again: another stage, or a jump
    if score.latest > _SCORE_LOST * score.y.max():
        return None
    text = f"cross-entropy from {before:.2f} up to {after:.2f} within one {loss.unit}; it began at {loss.y[0]:.2f}"
    lost = f"mAP {score.y.max():.1%} at its best, {score.latest:.1%} now"
    return Finding(
        code=CODE,
        title="What was learned is lost from one point to the next",
        severity="pipeline",
        confidence=0.75,
        evidence=(
            Evidence(text, after, before, loss.where()),
            Evidence(lost, score.latest, float(score.y.max()), score.where()),
        ),
        causes=("pretrained-not-loaded", "learning-rate-too-high", "stale-optimizer", "dead-units"),
        refuted_by="a change that is meant there: another stage, other losses, other data",
        next_test="evaluate the last checkpoint before it by itself, the model right after loading it, and after one step",
        remedies=("load_pretrained", "lower_learning_rate", "reinitialise"),
    )
