"""The logged learning rate is not the configured one.

What it is
    The highest rate in the log is a small part, or a multiple, of the rate that the configuration asks for. What is trained is
    not what was meant.

Why it happens
    A typo, the unit of another trainer, a factor applied twice (by the number of processes, by a parameter group), a schedule
    that multiplies a rate it has already multiplied, a resumed optimiser that brings its old rate along; for a high rate, also a
    warm-up that is skipped.

How it was seen
    fast-reid#131: base rate after resuming; #167: a new rate that is ignored. open-reid#15: a typo in the schedule.

What to do
    Print the rate of every parameter group just before optimizer.step(), in the first and in a late step, beside the
    configuration. Repair whoever writes it, then judge the training.

Source
    Field casebook. Thresholds ours: a factor of 3; parameter groups of published recipes differ by 2 (biases of fast-reid).
"""

from __future__ import annotations

import math

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.landmarks_of import has_learned_well
from unplateau.diagnosis.rules import schedule_never_steps
from unplateau.diagnosis.schedule_view import (
    NO_RATE,
    RATE_IS_HIGH,
    RATE_IS_LOW,
    dropped_before,
    is_rate_comparable,
    motion_says,
    peak_rate,
    rate_over_configured,
)
from unplateau.diagnosis.usual_settings import number
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "rate-not-as-configured"
_WATCHED = "watch"
_SOMEWHAT_LOW, _POSSIBLE = 0.7, 0.55  # times the configured: the log may show the rate of a group that has a factor
_ONE_EPOCH, _OF_ITS_LENGTH = 1.0, 0.8  # next to a change trainers log either rate; a cosine ends where it is set to
_DEEPEST_DROP, _STILL_DROPPED = 0.05, 0.7  # recipes multiply by 0.1 to 0.5 at a drop
_FEWEST_OFF, _SHARE_OFF = 2, 0.15  # epochs
_OF_A_COSINE, _FEWEST_EPOCHS = 0.3, 4.0
_TRACE = 1e-9  # of the configured rate; below it the rate is 0, which `weights_not_updated` judges
_MANY_ZEROS = 0.2  # of the updates; warm-up begins with a single one
_MANY_VALLEYS, _NEVER_RISE = 2.0, ("MultiStepLR", "CosineAnnealingLR")  # after warm-up
_SWINGS_LOW = 0.6  # of the highest rate, on average
_USUAL_DROP, _EXACTLY = 0.1, 0.02  # gamma of published schedules; of a power of it


def judge(case: Case) -> Verdict:
    """Compare the highest logged rate with the configured one."""
    ratio = rate_over_configured(case)
    if ratio is None or _SOMEWHAT_LOW < ratio < RATE_IS_HIGH or ratio < _TRACE:
        return None
    if dropped_before(case) is not None:
        return None  # `learning_rate_exhausted`
    low, works = ratio <= _SOMEWHAT_LOW, has_learned_well(case)
    if not is_rate_comparable(case) and motion_says(case) != ("low" if low else "high"):
        return None  # the rate of another kind of optimiser: `optimizer_not_as_configured`
    asked, rate = case.facts.base_learning_rate, peak_rate(case)
    text = f"the highest logged rate is {rate:.3g}, {ratio:.3g} times the configured {asked:.3g}"
    return Finding(
        code=CODE,
        title=f"The learning rate is {'below' if low else 'far above'} the configured one",
        severity="info" if works else "optimisation",
        confidence=0.9 if ratio <= RATE_IS_LOW or not low else _POSSIBLE,
        evidence=(Evidence(text, rate, asked, "log and configuration"),),
        causes=_why_low(case, ratio) if low else ("learning-rate-too-high", "no-warm-up"),
        refuted_by="a trainer that multiplies the configured rate on purpose, such as by the number of processes",
        next_test="print the rate of each parameter group just before optimizer.step(), in the first steps and at an epoch's end",
        remedies=("repair_rate",),
    )


def judge_course(case: Case) -> Verdict:
    """Compare the logged rate of each epoch with what the schedule can give there, whatever its factor at a drop is."""
    rates, asked = case.curve("learning_rate"), case.facts.base_learning_rate
    if rates is None or rates.unit != "epoch" or not asked or not is_rate_comparable(case) or has_learned_well(case):
        return None
    bounds = [(float(x), float(y) / asked, _bounds(case, float(x))) for x, y in zip(rates.x, rates.y, strict=True)]
    known = [(epoch, ratio, limits) for epoch, ratio, limits in bounds if limits is not None]
    low = [(epoch, ratio) for epoch, ratio, (least, _) in known if ratio < least]
    high = [(epoch, ratio) for epoch, ratio, (_, most) in known if ratio > most]
    off = sorted((*low, *high))
    if len(off) < _FEWEST_OFF or len(off) < _SHARE_OFF * len(known) or _is_said_elsewhere(case):
        return None
    text = ", ".join(f"{ratio * asked:.2g} in epoch {epoch:.0f}" for epoch, ratio in (off[0], off[-1]))
    return Finding(
        code=CODE,
        title="The learning rate does not follow its schedule",
        severity="optimisation",
        confidence=0.8,
        evidence=(Evidence(f"{len(off)} of {len(known)} epochs are off: {text}", len(off), 0.0, rates.where()),),
        causes=_why_off(is_low=bool(low), is_high=bool(high)),
        refuted_by="a schedule that is meant to give these rates",
        next_test="print the rate of each parameter group just before optimizer.step(), at the end of every epoch",
        remedies=("repair_schedule", "repair_rate"),
    )


def _bounds(case: Case, epoch: float) -> tuple[float, float] | None:
    """Return the least and the highest rate an epoch may have, over the configured one; None next to a change, or unknown."""
    facts, begins = case.facts, (case.facts.warm_up_epochs or 0.0) + _ONE_EPOCH
    if epoch <= begins:
        return None
    if facts.schedule == "CosineAnnealingLR" and facts.max_epochs and epoch < _OF_ITS_LENGTH * facts.max_epochs:
        height = 0.5 + 0.5 * math.cos(math.pi * (epoch - begins + _ONE_EPOCH) / (facts.max_epochs - begins + _ONE_EPOCH))
        return RATE_IS_LOW * height, RATE_IS_HIGH
    if facts.schedule not in (None, "MultiStepLR") or not facts.milestones:
        return None
    if any(abs(epoch - milestone) <= _ONE_EPOCH for milestone in facts.milestones):
        return None
    drops, factor = sum(milestone < epoch for milestone in facts.milestones), number(facts.settings or {}, "SOLVER.GAMMA")
    if factor is not None:
        return RATE_IS_LOW * factor**drops, RATE_IS_HIGH * factor**drops
    return RATE_IS_LOW * _DEEPEST_DROP**drops, RATE_IS_HIGH if drops == 0 else _STILL_DROPPED**drops


def _is_said_elsewhere(case: Case) -> bool:
    """Whether one of the rules that know a kind of mistake speaks: they say it more exactly."""
    return dropped_before(case) is not None or any(
        isinstance(judge_(case), Finding) for judge_ in (judge, schedule_never_steps.judge)
    )


def _why_off(*, is_low: bool, is_high: bool) -> tuple[str, ...]:
    low = ("schedule-too-fast", "learning-rate-too-low") if is_low else ()
    return (*low, *(("schedule-never-steps", "learning-rate-too-high") if is_high else ()))


def judge_watched(case: Case) -> Verdict:
    """Compare the rates of the updates with the schedule: a log with a line an epoch does not show them."""
    asked, highest, mean = case.facts.base_learning_rate, *(case.measured(name).get("") for name in ("rate_highest", "rate_mean"))
    if not asked or highest is None or mean is None or highest < _TRACE * asked or has_learned_well(case):
        return None
    if (found := _zeros_or_valleys(case)) is not None:
        return found
    if not is_rate_comparable(case) and motion_says(case) != ("high" if highest >= RATE_IS_HIGH * asked else "low"):
        return None
    if highest >= RATE_IS_HIGH * asked:
        text = f"an update was done at rate {highest:.3g}, {highest / asked:.3g} times the configured {asked:.3g}"
        title, causes = "The learning rate was far above the configured one", ("learning-rate-too-high", "no-warm-up")
        return _watched(title, causes, Evidence(text, highest, asked, _WATCHED))
    least = _least_mean(case) * asked
    if mean > RATE_IS_LOW * least:
        return None
    text = f"updates were done at rate {mean:.3g} on average, where the schedule gives {least:.3g} at least"
    fell = ("schedule-too-fast",) if highest > RATE_IS_LOW * asked else ()
    return _watched(
        "The learning rate was far below its schedule", (*fell, "learning-rate-too-low"), Evidence(text, mean, least, _WATCHED)
    )


def _zeros_or_valleys(case: Case) -> Finding | None:
    zeros, valleys = (case.measured(name).get("", 0.0) for name in ("rate_at_zero", "rate_valleys"))
    if zeros > _MANY_ZEROS:
        evidence = Evidence(f"{zeros:.0%} of the updates were done at rate 0, or next to it", zeros, 0.0, _WATCHED)
        return _watched("Many updates were done at a learning rate of 0", _why_zero(case), evidence, confidence=0.95)
    if valleys >= _MANY_VALLEYS and case.facts.schedule in _NEVER_RISE:
        evidence = Evidence(f"the rate rose again after it had fallen, {valleys:.0f} times", valleys, 0.0, _WATCHED)
        title = f"The learning rate swings, which {case.facts.schedule} never does"
        mean, highest = (case.measured(name).get("", 0.0) for name in ("rate_mean", "rate_highest"))
        low = ("learning-rate-too-low",) if mean < _SWINGS_LOW * highest else ()
        return _watched(title, ("schedule-too-fast", "learning-rate-too-high", *low), evidence)
    return None


def _why_zero(case: Case) -> tuple[str, ...]:
    """A rate that ends at 0 was dropped to it; one that was 0 before never began."""
    rates = case.curve("learning_rate")
    fell = rates is not None and rates.y[-1] < NO_RATE * rates.y.max()
    return ("learning-rate-zero", "schedule-too-fast") if fell else ("learning-rate-zero",)


def _watched(title: str, causes: tuple[str, ...], evidence: Evidence, *, confidence: float = 0.9) -> Finding:
    return Finding(
        code=CODE,
        title=title,
        severity="optimisation",
        confidence=confidence,
        evidence=(evidence,),
        causes=causes,
        refuted_by="a schedule that is meant to give these rates",
        next_test="print the rate of each parameter group just before optimizer.step(), in every step of the first epochs",
        remedies=("repair_rate",),
    )


def _least_mean(case: Case) -> float:
    """Mean rate over the configured one, if the schedule gave nothing in warm-up and after its first drop."""
    facts, steps = case.facts, case.measured("watched_steps").get("", 0.0)
    if not facts.iterations_per_epoch or not steps:
        return 0.0
    epochs = steps / facts.iterations_per_epoch
    if facts.schedule not in (None, "MultiStepLR"):
        return _OF_A_COSINE if facts.schedule == "CosineAnnealingLR" and epochs > _FEWEST_EPOCHS else 0.0
    end = min([epochs, *(facts.milestones or ())])
    return max(0.0, end - (facts.warm_up_epochs or 0.0)) / epochs


def _why_low(case: Case, ratio: float) -> tuple[str, ...]:
    """Drops within the first epoch leave a power of the usual factor, and a log with a line an epoch does not show them come."""
    if not case.facts.milestones:
        return ("learning-rate-too-low",)
    drops = math.log(ratio) / math.log(_USUAL_DROP)
    if 1 <= round(drops) <= len(case.facts.milestones) and abs(drops - round(drops)) < _EXACTLY:
        return ("schedule-too-fast", "learning-rate-too-low")
    return ("learning-rate-too-low",)
