"""A scheduled drop of the learning rate did not happen.

What it is
    The logged rate is the same after a milestone as before it.

Why it happens
    A scheduler that is never stepped, or that was lost on resuming.

How it was seen
    fast-reid#131: the rate back at its base after resuming; #167: a new rate ignored.

What to do
    Compare the rate of optimizer.param_groups with the schedule, also after resuming.

Source
    Field casebook.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.schedule_view import is_rate_off
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "schedule-never-steps"
_CLEARLY_PASSED = 2.0  # epochs after a milestone
_SAME = 0.01


def judge(case: Case) -> Verdict:
    """Fire where the rate is the same after a milestone as before it."""
    rates, milestones = case.curve("learning_rate"), case.facts.milestones
    if rates is None or not milestones or rates.unit != "epoch" or is_rate_off(case) or rates.y.max() <= 0:
        return None
    passed = [milestone for milestone in milestones if milestone + _CLEARLY_PASSED < rates.x[-1]]
    before = rates.y[rates.x < (passed[0] if passed else rates.x[0])]
    if len(before) == 0 or abs(rates.y[-1] - before[-1]) > _SAME * before[-1]:
        return None
    return Finding(
        code=CODE,
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
