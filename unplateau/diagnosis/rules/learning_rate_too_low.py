"""The learning rate is too low.

What it is
    The loss falls, surely and slowly: at this pace the steps that are left do not bring it anywhere near its floor.

Why it happens
    A rate in the wrong unit or divided twice; warm-up counted in epochs where iterations were meant; Adam's epsilon or clipping
    that makes every step tiny.

How it was seen
    The first guess of most people whose weights do not move at all: check that first (weights-not-updated). With a rate that is
    merely low the loss does fall, measurably, from the first epoch.

What to do
    Raise it towards the published 3.5e-4 (Adam, batch 64), after two checkpoints have shown that the weights move.

Source
    DeepDiagnosis (ICSE 2022) calls lr |g| / |w| below 1e-5 too low; weight motion of about 1e-3 a step is healthy (CS231n).
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.landmarks_of import floor, head_starts
from unplateau.diagnosis.schedule_view import ahead, in_warm_up, peak_rate, usual_rate
from unplateau.diagnosis.verdict import Abstained, Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "learning-rate-too-low"
_FAR_BELOW = 0.1
_FEWEST_POINTS = 5
_LITTLE = 0.35  # of the way from start to floor that the steps left can cover at this pace


def judge(case: Case) -> Verdict:
    """Fire where the peak rate is a tenth of the recipes' and the loss falls too slowly to arrive."""
    loss, rate = case.curve("cross_entropy"), peak_rate(case)
    if loss is None or len(loss.y) < _FEWEST_POINTS or in_warm_up(case):
        return None
    if rate is None:
        return Abstained("the learning rate is not in the log", ("--learning-rate",))
    usual = usual_rate(case)
    low, starts = floor(case), head_starts(case)
    if rate > _FAR_BELOW * usual or rate <= 0 or low is None or not starts:
        return None
    top = starts[0].start.mean
    reach = max(0.0, top - loss.latest) + max(0.0, -loss.slope.value) * ahead(case, loss).remaining
    if reach > _LITTLE * (top - low):
        return None
    return Finding(
        code=CODE,
        title="The learning rate is too low",
        severity="optimisation",
        confidence=0.8,
        evidence=(
            Evidence(
                f"learning rate {rate:.3g} at its highest; recipes with {case.facts.optimizer or 'Adam'} use {usual:.3g}",
                rate,
                usual,
                "log",
            ),
            Evidence(
                f"cross-entropy {loss.latest:.2f}, changing by {loss.slope.value:+.2g} per {loss.unit}",
                loss.latest,
                low,
                loss.where(),
            ),
        ),
        causes=("learning-rate-too-low", "epsilon-too-large", "gradient-clipped-away"),
        refuted_by="two checkpoints whose weights are equal: then nothing moves at all, and the rate is not the cause",
        next_test="one epoch at ten times the rate",
        remedies=("higher_learning_rate", "loosen_clipping"),
    )
