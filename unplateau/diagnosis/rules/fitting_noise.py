"""Noise is being fitted.

What it is
    The cross-entropy wanders above ln I and above the start of its head: the answers are surer than they are right.

Why it happens
    Labels that do not belong to the images (shuffled, shifted, one person under several labels), or a rate that is too high and
    not known to be.

How it was seen
    open-reid#24: an indexing bug in the miner, d_an about d_ap, top-1 2.6 %. Planted: labels drawn at random each epoch.

What to do
    Look at ten images with their labels. Then one epoch at a tenth of the rate: still above ln I = labels.

Source
    ln I is the price of knowing nothing; a network pays more only for being sure and wrong.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.rules import learning_rate_too_high
from unplateau.diagnosis.schedule_view import in_warm_up
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Finding

CODE = "fitting-noise"
_FEWEST_POINTS = 5


def judge(case: Case) -> Verdict:
    """Fire where the cross-entropy wanders above its start and the rate does not explain it."""
    loss = case.curve("cross_entropy")
    if (
        loss is None
        or len(loss.y) < _FEWEST_POINTS
        or in_warm_up(case)
        or isinstance(learning_rate_too_high.judge(case), Finding)
    ):
        return None
    sign = learning_rate_too_high.above_start(case, loss)
    if sign is None:
        return None
    return Finding(
        code=CODE,
        title="The cross-entropy is above that of knowing nothing: noise is being fitted",
        severity="data",
        confidence=0.55,
        evidence=(sign,),
        causes=("labels-shuffled", "learning-rate-too-high", "labels-noisy", "identities-split"),
        refuted_by="labels of ten random training images that are right, and the same curve at a tenth of the rate",
        next_test="look at ten images with their labels; then one epoch with a tenth of the rate",
        remedies=("relabel", "lower_learning_rate"),
    )
