"""The weights move by next to nothing.

What it is
    Two checkpoints of one run differ, by less than a millionth of the weights: less than one healthy step.

Why it happens
    A rate that is far too low or used up, clipping to a tiny norm, an epsilon of Adam that swallows the gradients, a gradient
    scaler that skips nearly every step; or the two files are a few steps apart at the end of a schedule.

How it was seen
    Planted in our own benchmark: rate divided by 100, clipping too small.

What to do
    Look at the rate of these epochs and at the share of clipped steps; take checkpoints that are epochs apart.

Source
    Weight motion of about 1e-3 a step is healthy (Stanford CS231n).
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

_SOURCE = "checkpoints A and B"
_BARELY = 1e-6  # relative change between two checkpoints; one healthy step alone is about 1e-3


def judge(case: Case) -> Verdict:
    """Fire where weights moved by next to nothing."""
    change = case.measured("checkpoint_motion").get("")
    if change is None or not 0 < change < _BARELY:
        return None
    return Finding(
        code="weights-barely-move",
        title="The weights move by next to nothing",
        severity="optimisation",
        confidence=0.85,
        evidence=(Evidence(f"relative change {change:.1e} between the checkpoints", change, 1e-3, _SOURCE),),
        causes=("learning-rate-too-low", "gradient-clipped-away", "epsilon-too-large", "scaler-always-skips"),
        refuted_by="the two checkpoints being a few steps apart at the end of a schedule",
        next_test="the learning rate of these epochs, and the clipping threshold",
        remedies=("higher_learning_rate", "loosen_clipping"),
    )
