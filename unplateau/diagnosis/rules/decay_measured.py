"""Weight decay is far stronger than the losses.

What it is
    The weight decay that the optimiser holds is tens of times that of published recipes: weights shrink faster than the losses
    can hold them.

Why it happens
    A typo; a value meant for AdamW, which multiplies it by the learning rate, given to Adam or SGD, which add it to the gradient.

How it was seen
    Luo et al. 2019 and fast-reid use 5e-4 with Adam; AdamW recipes 0.01 to 0.1.

What to do
    5e-4 with Adam or SGD, 0.05 with AdamW.

Source
    Loshchilov and Hutter 2019, decoupled weight decay: with AdamW a weight keeps 1 - rate times decay of itself a step.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "weight-decay-too-strong"
_COUPLED = 0.01  # twenty times that of published recipes
_DECOUPLED = 2e-3  # of itself a weight loses a step; gone after 500 steps


def judge(case: Case) -> Verdict:
    """Fire where the decay in the optimiser's groups is beyond every recipe."""
    decay = case.measured("highest_decay").get("")
    if decay is None:
        return None
    decoupled, rate = case.measured("decay_is_decoupled").get("", 0.0) > 0, case.measured("highest_rate").get("", 0.0)
    if (decoupled and decay * rate < _DECOUPLED) or (not decoupled and decay < _COUPLED):
        return None
    usual = 0.05 if decoupled else 5e-4
    return Finding(
        code=CODE,
        title="Weight decay is far too strong",
        severity="optimisation",
        confidence=0.9,
        evidence=(Evidence(f"weight decay {decay:.3g}; recipes use {usual:g}", decay, usual, "optimiser's groups"),),
        causes=("weight-decay-too-strong",),
        refuted_by="the same start with the usual decay showing the same curve",
        next_test="the length of one layer's weights over the first epochs",
        remedies=("repair_settings",) if "weight_decay" in case.measured("setting_differs") else ("lower_weight_decay",),
    )
