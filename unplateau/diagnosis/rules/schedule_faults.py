"""The learning-rate schedule runs wrongly.

What it is
    The logged rate is used up long before the run is over (learning-rate-exhausted), or it passes a milestone unchanged
    (schedule-never-steps).

Why it happens
    scheduler.step() once a batch with milestones in epochs; a scheduler that is never stepped; a schedule lost on resuming.

How it was seen
    open-reid#15: a typo in the schedule. fast-reid#131: the rate back at its base after resuming; #167: a new rate ignored.

What to do
    Step once an epoch, or give milestones in steps; after resuming compare the logged rate with the schedule's.

Source
    Field casebook.
"""

from __future__ import annotations

import numpy as np

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.landmarks_of import floor
from unplateau.diagnosis.verdict import Abstained, Verdict
from unplateau.runs.record import Evidence, Finding

EXHAUSTED_CODE = "learning-rate-exhausted"
NEVER_CODE = "schedule-never-steps"
_USED_UP = 0.02  # of the peak
_EARLY = 0.3  # of the epochs
_CLEARLY_PASSED = 2.0  # epochs after a milestone
_SAME = 0.01


def judge_exhausted(case: Case) -> Verdict:
    """Fire where the rate is below 2 % of its peak in the first third of the run and the loss is far from its floor."""
    rates, total = case.curve("learning_rate"), case.facts.max_epochs
    if rates is None or len(rates.y) < 3:
        return None
    used_up = rates.x[(rates.y < _USED_UP * rates.y.max()) & (np.arange(len(rates.y)) > rates.y.argmax())]
    if len(used_up) == 0:
        return None
    if total is None or rates.unit != "epoch":
        return Abstained("how early the rate was used up depends on the number of epochs planned", ("--max-epochs",))
    loss, low = case.curve("cross_entropy"), floor(case)
    if used_up[0] > _EARLY * total or (loss is not None and low is not None and loss.latest < low + 0.5):
        return None
    return Finding(
        code=EXHAUSTED_CODE,
        title="The learning rate was used up long before the run is over",
        severity="optimisation",
        confidence=0.85,
        evidence=(
            Evidence(
                f"rate {rates.y[-1]:.2g}, below 2 % of its peak {rates.y.max():.2g} from epoch {used_up[0]:.0f} of {total}",
                float(rates.y[-1]), float(rates.y.max()), rates.where(),
            ),
        ),
        causes=("schedule-too-fast",),
        refuted_by="milestones that are meant to be this early",
        next_test="is scheduler.step() inside the batch loop?",
        remedies=("repair_schedule",),
    )  # fmt: skip


def judge_never_steps(case: Case) -> Verdict:
    """Fire where the rate is the same after a milestone as before it."""
    rates, milestones = case.curve("learning_rate"), case.facts.milestones
    if rates is None or not milestones or rates.unit != "epoch":
        return None
    passed = [milestone for milestone in milestones if milestone + _CLEARLY_PASSED < rates.x[-1]]
    before = rates.y[rates.x < (passed[0] if passed else rates.x[0])]
    if len(before) == 0 or abs(rates.y[-1] - before[-1]) > _SAME * before[-1]:
        return None
    return Finding(
        code=NEVER_CODE,
        title="A scheduled drop of the learning rate did not happen",
        severity="optimisation",
        confidence=0.8,
        evidence=(
            Evidence(
                f"rate {rates.y[-1]:.3g} in epoch {rates.x[-1]:.0f}, as before the milestone at epoch {passed[0]:.0f}",
                float(rates.y[-1]), float(before[-1]), rates.where(),
            ),
        ),
        causes=("schedule-never-steps",),
        refuted_by="milestones that count otherwise than was assumed here",
        next_test="print the rate of optimizer.param_groups after scheduler.step()",
        remedies=("repair_schedule",),
    )  # fmt: skip
