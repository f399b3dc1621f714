"""Epochs end long before their images are used up.

What it is
    A watched training counts its steps. They are compared with the epochs that the log tells and the steps that an epoch has.

Why it happens
    A break from looking for an error that stays in the loop, a limit on batches from a quick trial, a sampler or a list that is
    used up after the first batches.

How it was seen
    A loop over batches that was left after two of them: the loss fell far too slowly, and the schedule, which counts epochs, had
    the rate down before much was learned.

What to do
    Count the batches of one epoch, and print how many the loader says it has.

Source
    Field notes. Thresholds ours.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "epochs-cut-short"
_CUT = 0.6  # of the steps
_FEWEST_EPOCHS = 2.0


def judge(case: Case) -> Verdict:
    """Fire where far fewer steps were watched than the epochs that are over have."""
    steps, length, epochs = case.measured("watched_steps").get(""), case.facts.iterations_per_epoch, case.last_epoch
    if not steps or not length or epochs is None or epochs < _FEWEST_EPOCHS:
        return None
    share = steps / (epochs * length)
    if share > _CUT:
        return None
    text = f"{steps:.0f} training steps in {epochs:.0f} epochs of {length}: {share:.0%} of them"
    return Finding(
        code=CODE,
        title="Epochs end long before their images are used up",
        severity="pipeline",
        confidence=0.85,
        evidence=(Evidence(text, steps, epochs * length, "watch"),),
        causes=("learning-rate-too-low", "schedule-too-fast", "too-few-identities"),
        refuted_by="a watch that was begun late, or epochs that are meant to be this short",
        next_test="count the batches of one epoch beside len(loader)",
        remedies=("repair_sampling", "repair_schedule"),
    )
