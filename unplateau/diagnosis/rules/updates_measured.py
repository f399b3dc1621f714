"""Weights do not go where the updates of the optimiser send them, or updates are rare.

What it is
    Over sixteen training steps the updates of the optimisers are added up and compared with where the weights are at the end. And
    updates are counted: one for each training step, unless gradients are accumulated on purpose.

Why it happens
    Slow weights of a lookahead or an average that is copied back with a tiny share; masks, clipping or rounding of weights after
    the step; a counter of gradient accumulation that never divides while gradients are cleared in every step.

How it was seen
    Planted in our benchmark: lookahead at 1 % and 10 %, one update an epoch. Single steps look healthy in both.

What to do
    Print one weight right after optimizer.step() and before the next forward pass; count calls of optimizer.step().

Source
    Zhang et al. 2019 (Lookahead), arXiv 1907.08610: a share of 0.5 every five steps. Thresholds ours; healthy runs keep all.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

RARE, UNDONE = "updates-are-rare", "steps-undone"
_SOURCE, _AGE = "probe updates_kept", "probe optimizer_age"
_RARE, _RARE_WATCHED = 0.5, 0.125  # whoever is watched may accumulate over several batches on purpose
_FEWEST_WATCHED = 100.0
_WHOLE = 0.01  # epochs
_NEWBORN = 0.05  # of the updates
_YOUNG = 0.7  # of the updates; a gradient scaler skips a few
_KEPT, _TAKEN_BACK, _ELSEWHERE, _ALONG = 0.8, 0.4, 0.3, -0.7  # lookahead at its usual half keeps 0.5 and more


def judge_rare(case: Case) -> Verdict:
    """Fire where most training steps end without an update."""
    share, watched = case.measured("updates_in_steps").get(""), case.measured("watched_steps").get("", 0.0)
    confidence, text = 0.9, ""
    if share is not None and share <= _RARE:
        text = f"the optimiser steps in {share:.0%} of the training steps, and gradients are cleared in between"
    elif share is None and watched >= _FEWEST_WATCHED:
        share, confidence = case.measured("optimizer_steps").get("", watched) / watched, 0.6
        text = f"the optimiser stepped in {share:.1%} of {watched:.0f} training steps" if 0 < share < _RARE_WATCHED else ""
    if not text:
        return None
    return Finding(
        code=RARE,
        title="Most training steps end without an update",
        severity="pipeline",
        confidence=confidence,
        evidence=(Evidence(text, share, 1.0, _SOURCE),),
        causes=("no-gradient", "scaler-always-skips", "learning-rate-too-low"),
        refuted_by="gradients that are accumulated on purpose, over as many batches as meant",
        next_test="count the calls of backward, optimizer.step and zero_grad in one epoch",
        remedies=("repair_step", "fix_mixed_precision", "restore_gradient"),
    )


def judge_undone(case: Case) -> Verdict:
    """Fire where something else than the optimiser writes to the weights, against its updates or more than they do."""
    kept, elsewhere = case.measured("updates_kept").get(""), case.measured("written_elsewhere").get("", 0.0)
    if kept is None or (kept > _KEPT and elsewhere < _ELSEWHERE):
        return None
    if _TAKEN_BACK < kept <= _KEPT and elsewhere < 1 - _TAKEN_BACK:
        return None  # a lookahead as published
    along = case.measured("written_along_weights").get("", 0.0)
    causes: tuple[str, ...] = ("learning-rate-too-low", "epsilon-too-large", "stale-optimizer")
    confidence = 0.85
    if kept > _TAKEN_BACK:
        causes, confidence = ("learning-rate-too-high", "dead-units", "stale-optimizer"), 0.6
    if along < _ALONG:
        causes, confidence = ("weight-decay-too-strong", *causes[:1]), 0.8
    lines = (
        Evidence(f"{kept:.1%} of the way that the updates went is left after 16 steps", kept, 1.0, _SOURCE),
        Evidence(f"something else wrote {elsewhere:.2f} times as much to the weights", elsewhere, 0.0, _SOURCE),
    )
    return Finding(
        code=UNDONE,
        title="Something else than the optimiser writes to the weights",
        severity="pipeline",
        confidence=confidence,
        evidence=lines,
        causes=causes,
        refuted_by="weights after sixteen steps that are those before plus all updates",
        next_test="print one weight right after optimizer.step() and at the end of the training step, for ten steps",
        remedies=("repair_step", "fix_optimizer"),
    )


def judge_age(case: Case) -> Verdict:
    """Fire where the optimiser has counted far fewer updates than training steps were done."""
    age = case.measured("updates_over_steps").get("")
    if age is None or age > _YOUNG:
        return None
    text = f"the optimiser has counted {age:.0%} as many updates as training steps were done"
    if (epochs := _epochs_old(case, age)) is not None:
        text += f": it was made anew {epochs:.0f} epochs before the end"
    made_anew = case.measured("updates_in_steps").get("", 0.0) == 1 and age < _NEWBORN
    return Finding(
        code=RARE,
        title="The optimiser has done far fewer updates than the training has steps",
        severity="pipeline",
        confidence=0.7 if epochs is None else 0.5,  # Adam's averages are back after some steps
        evidence=(Evidence(text, age, 1.0, _AGE),),
        causes=("stale-optimizer", "schedule-never-steps", "learning-rate-too-high")
        if made_anew  # every step has its update, by an optimiser that knows neither the schedule nor the steps before
        else ("stale-optimizer", "scaler-always-skips", "no-gradient"),
        refuted_by="an optimiser that was made anew on purpose, for another phase",
        next_test="print the step count in optimizer.state at the end of each epoch",
        remedies=("fix_optimizer", "fix_mixed_precision", "restore_gradient"),
    )


def _epochs_old(case: Case, age: float) -> float | None:
    """Whole epochs that the optimiser's count stands for; None where it began within one."""
    steps, length = case.measured("steps_trained").get(""), case.facts.iterations_per_epoch
    if not steps or not length:
        return None
    epochs = age * steps / length
    return round(epochs) if round(epochs) >= 1 and abs(epochs - round(epochs)) < _WHOLE else None


def judge_layers(case: Case) -> Verdict:
    """Fire where some layers have had far fewer updates than others: they were frozen, or left out, for a while."""
    ages = case.measured("updates_over_steps")
    left = [group for group, age in ages.items() if group and 0 < age < _YOUNG * ages.get("", 0.0)]
    if not left:
        return None
    lines = [
        Evidence(f"{group}: {ages[group] / ages['']:.0%} of the updates that others have had", ages[group], ages[""], _AGE)
        for group in left[:6]
    ]
    return Finding(
        code="layers-not-trained",
        title=f"Not trained for a part of the time: {', '.join(left[:5])}{' ...' if len(left) > 5 else ''}",
        severity="pipeline",
        confidence=0.85,
        evidence=tuple(lines),
        causes=("backbone-frozen", "layers-frozen", "stale-optimizer"),
        refuted_by="a freeze that is wanted (FREEZE_ITERS)",
        next_test="print the step count in optimizer.state for one weight of each layer",
        remedies=("unfreeze", "fix_optimizer"),
    )
