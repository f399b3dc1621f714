"""Where a training stands in its learning-rate schedule, from the logged rates and from what is known of the schedule."""

from __future__ import annotations

import numpy as np

from unplateau.curves.flatness import Ahead
from unplateau.diagnosis.case import Case, Curve

_RISE_THAT_IS_WARM_UP = 1.02
RATE_IS_LOW, RATE_IS_HIGH = 1 / 3, 3.0  # times the configured rate; groups of one optimiser differ by up to 2 in recipes
NO_RATE = 1e-6  # of the highest; nobody trains with it
_CLEARLY_DROPPED = 0.55  # of the peak: a drop of one half or more, as schedules make them
_ONE_EPOCH = 1.0  # trainers count epochs from 0 or from 1
_FEWEST_RATES = 3
_KIND = "is_adam"
_HARDLY, _FAR = 2e-3, 1.5e-2  # of the weights' length in a step at the peak rate; 0.003 to 0.009 in healthy runs of any optimiser
USUAL_RATES = {"Adam": 3.5e-4, "AdamW": 3.5e-4, "SGD": 0.05}  # peak rates of the published re-ID recipes


def ahead(case: Case, curve: Curve) -> Ahead:
    """Return what the schedule still holds after the last point of `curve`, in the curve's own unit."""
    scale = 1.0 if curve.unit == "epoch" else float(case.facts.iterations_per_epoch or 0)
    now = float(curve.x[-1])
    drops = [scale * milestone for milestone in case.facts.milestones or () if scale * milestone > now]
    end = scale * float(case.facts.max_epochs or 0)
    left = (end - now) if end > 0 else curve.span  # unknown length: as long again as so far
    descends = case.facts.schedule == "CosineAnnealingLR" and left > 0
    remaining = max(0.0, min([left, *[drop - now for drop in drops]]))
    return Ahead(remaining, in_warm_up=in_warm_up(case), drop_ahead=bool(drops) or descends)


def in_warm_up(case: Case) -> bool:
    """Return whether the log ends while the learning rate still warms up."""
    known = case.facts.warm_up_epochs
    if known is not None and case.last_epoch is not None:
        if case.last_epoch <= known:
            return True
        if known > 0 and case.last_epoch > known + _ONE_EPOCH:
            return False  # a rate that rises now rises for another reason
    rates = case.curve("learning_rate")
    if rates is None or len(rates.y) < 2:
        return False
    at_its_highest = rates.y[-1] >= rates.y.max()
    return bool(at_its_highest and rates.y[-1] > _RISE_THAT_IS_WARM_UP * rates.y[max(0, len(rates.y) // 2 - 1)])


def warm_up_end(case: Case, curve: Curve) -> float:
    """Return the x of `curve` at which warm-up was over; its first x where nothing is known."""
    rates = case.curve("learning_rate")
    if rates is not None and rates.unit == curve.unit and len(rates.y) > 1:
        peak = int((rates.y >= 0.98 * rates.y.max()).argmax())
        return float(rates.x[peak])
    known = case.facts.warm_up_epochs or 0.0
    return max(float(curve.x[0]), known if curve.unit == "epoch" else known * (case.facts.iterations_per_epoch or 0))


def peak_rate(case: Case) -> float | None:
    """Return the highest learning rate that was logged, or the configured one."""
    rates = case.curve("learning_rate")
    return float(rates.y.max()) if rates is not None else case.facts.base_learning_rate


def usual_rate(case: Case) -> float:
    """Return the peak rate that published recipes use with this optimiser; Adam's where it is not known."""
    return USUAL_RATES.get(case.facts.optimizer or "Adam", USUAL_RATES["Adam"])


def rate_over_configured(case: Case) -> float | None:
    """Return the highest logged rate over the one the configuration asks for; None where either is not known or it warms up."""
    rates, asked = case.curve("learning_rate"), case.facts.base_learning_rate
    if rates is None or not asked or in_warm_up(case):
        return None
    return float(rates.y.max()) / asked


def is_rate_off(case: Case) -> bool:
    """Return whether the rate that was trained with is far below what the configuration asks for, from the start or too soon."""
    ratio = rate_over_configured(case)
    return (ratio is not None and ratio <= RATE_IS_LOW) or dropped_before(case) is not None


def dropped_before(case: Case) -> float | None:
    """Return the epoch at which the rate had fallen well before the first scheduled drop; None where it had not."""
    rates, milestones = case.curve("learning_rate"), case.facts.milestones
    if rates is None or rates.unit != "epoch" or len(rates.y) < _FEWEST_RATES or not milestones:
        return None
    early = (rates.x < min(milestones) - _ONE_EPOCH) & (np.arange(len(rates.y)) > rates.y.argmax())
    fallen = early & (rates.y < _CLEARLY_DROPPED * meant_peak(case, rates))
    return float(rates.x[fallen][0]) if fallen.any() else None


def meant_peak(case: Case, rates: Curve) -> float:
    """Return the highest logged rate, or the configured one where that is lower: coming down to it is no drop."""
    asked = case.facts.base_learning_rate
    highest = float(rates.y.max())
    return min(highest, asked) if asked else highest


def rate_over_usual(case: Case) -> float | None:
    """Return the peak rate over the usual one, or None where it is not known."""
    rate = peak_rate(case)
    return None if rate is None else rate / usual_rate(case)


def is_rate_comparable(case: Case) -> bool:
    """Return whether the configured kind of optimiser takes the steps, as far as known: rates of two kinds are not alike."""
    own = case.measured("setting_trained").get(_KIND)
    return own is None or own == case.measured("setting_configured").get(_KIND)


def motion_says(case: Case) -> str:
    """Return "low" or "high" where weights move much less or more in a step than any optimiser should move them, else ""."""
    motions = [m.value for m in case.measurements if m.name == "weight_motion" and not m.group and m.value is not None]
    if not motions:
        return ""
    return "low" if max(motions) < _HARDLY else "high" if max(motions) > _FAR else ""
