"""Weights are NaN or infinite.

What it is
    A checkpoint holds numbers that are none. The finding is diverged: nothing that comes after can be right.

Why it happens
    See the page diverged: a rate too high, no warm-up, half precision without scaling.

How it was seen
    fast-reid#541: NaN after unfreezing at rate 1e-2.

What to do
    Go back to the last checkpoint with finite weights.

Source
    Field casebook.
"""

from __future__ import annotations

import math

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

_SOURCE = "checkpoints A and B"


def judge(case: Case) -> Verdict:
    """Fire where a weight is NaN or infinite."""
    broken = [group for group, motion in case.measured("checkpoint_motion").items() if not math.isfinite(motion)]
    if not broken:
        return None
    where = ", ".join(group for group in broken if group) or "the model"
    return Finding(
        code="diverged",
        title="Weights are NaN or infinite",
        severity="pipeline",
        confidence=0.99,
        evidence=(Evidence(f"non-finite values in {where}", None, 0.0, _SOURCE),),
        causes=("learning-rate-too-high", "no-warm-up"),
        refuted_by="",
        next_test="go back to the last checkpoint with finite weights",
        remedies=("lower_learning_rate", "warm_up"),
    )
