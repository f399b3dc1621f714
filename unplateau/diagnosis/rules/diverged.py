"""The training has diverged.

What it is
    A loss or a weight is NaN or infinite. From there on nothing is learned, whatever the log shows next.

Why it happens
    A rate too high for the batch or without warm-up; half precision without loss scaling; a division by zero or the square root
    of zero in a distance; a broken image or label.

How it was seen
    fast-reid#541: rate 1e-2, triplet exactly 0, NaN after unfreezing. TOP-ReID#1: a plateau at 12.0, then NaN. KovenYu/MAR#5:
    the rate too high for batch 64.

What to do
    Go back to the last finite checkpoint; divide the rate by 3 to 10, warm up, clip gradients at norm 5, use bf16 for fp16.

Source
    Field casebook; Karpathy, A Recipe for Training Neural Networks.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case, lost_points
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "diverged"
_LOSSES = ("total", "cross_entropy", "triplet", "circle", "center")


def judge(case: Case) -> Verdict:
    """Fire where a loss was logged as NaN or infinite, or the text says so."""
    lost = {name: count for name, count in lost_points(case).items() if name in _LOSSES}
    if not lost and "not-a-number" not in case.symptoms:
        return None
    evidence = tuple(
        Evidence(f"{name}: {count} values are NaN or infinite", float(count), 0.0, "log") for name, count in lost.items()
    )
    return Finding(
        code=CODE,
        title="The training has diverged: the loss is not a number",
        severity="pipeline",
        confidence=0.7,  # that it diverged is sure, why is not
        evidence=evidence or (Evidence("the text speaks of a NaN loss", source="symptom"),),
        causes=("learning-rate-too-high", "no-warm-up", "labels-out-of-range", "blank-images"),
        refuted_by="a later finite loss of the same, not restarted run",
        next_test="the last finite checkpoint, one step with a tenth of the rate: still NaN = data or loss code, else the rate",
        remedies=("lower_learning_rate", "warm_up", "clip_gradients"),
    )
