"""The learning rate is used up long before the run is over.

What it is
    The logged rate is below 2 % of its peak in the first third of the run, and the loss is far from its floor; or it drops
    well before the first drop that the configuration plans.

Why it happens
    scheduler.step() once a batch with milestones in epochs, or a cosine whose length is given in epochs and stepped in batches.

How it was seen
    open-reid#15: a typo in the schedule. Planted in our own benchmark: schedule per batch.

What to do
    Step once an epoch, or give milestones in steps.

Source
    Field casebook.
"""

from __future__ import annotations

import numpy as np

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.landmarks_of import floor
from unplateau.diagnosis.schedule_view import dropped_before, meant_peak
from unplateau.diagnosis.verdict import Abstained, Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "learning-rate-exhausted"
_USED_UP = 0.02  # of the peak
_EARLY = 0.3  # of the epochs
_FAR_FROM_FLOOR = 0.5  # nats


def judge_before_milestone(case: Case) -> Verdict:
    """Fire where the rate drops before the first planned drop."""
    epoch, milestones = dropped_before(case), case.facts.milestones
    rates = case.curve("learning_rate")
    if epoch is None or rates is None or not milestones:
        return None
    first = min(milestones)
    text = f"rate {rates.y[-1]:.2g}, at its peak {rates.y.max():.2g}; it had dropped by epoch {epoch:.0f}, planned is {first:.0f}"
    return Finding(
        code=CODE,
        title="The learning rate drops before its time",
        severity="optimisation",
        confidence=0.9,
        evidence=(Evidence(text, epoch, first, rates.where()),),
        causes=("schedule-too-fast", "learning-rate-too-low"),
        refuted_by="a schedule that is meant to drop this early, or one that drops on plateaus",
        next_test="is scheduler.step() inside the batch loop?",
        remedies=("repair_schedule",),
    )


def judge(case: Case) -> Verdict:
    """Fire where the rate is below 2 % of its peak in the first third of the run and the loss is far from its floor."""
    rates, total = case.curve("learning_rate"), case.facts.max_epochs
    if rates is None or len(rates.y) < 3:
        return None
    used_up = rates.x[(rates.y < _USED_UP * meant_peak(case, rates)) & (np.arange(len(rates.y)) > rates.y.argmax())]
    if len(used_up) == 0:
        return None
    if total is None or rates.unit != "epoch":
        return Abstained("how early the rate was used up depends on the number of epochs planned", ("--max-epochs",))
    loss, low = case.curve("cross_entropy"), floor(case)
    if used_up[0] > _EARLY * total or (loss is not None and low is not None and loss.latest < low + _FAR_FROM_FLOOR):
        return None
    return Finding(
        code=CODE,
        title="The learning rate was used up long before the run is over",
        severity="optimisation",
        confidence=0.85,
        evidence=(
            Evidence(
                f"rate {rates.y[-1]:.2g}, below 2 % of its peak {rates.y.max():.2g} from epoch {used_up[0]:.0f} of {total}",
                float(rates.y[-1]), float(rates.y.max()), rates.where(),
            ),
        ),
        causes=("schedule-too-fast", "learning-rate-too-low"),
        refuted_by="milestones that are meant to be this early",
        next_test="is scheduler.step() inside the batch loop?",
        remedies=("repair_schedule",),
    )  # fmt: skip
