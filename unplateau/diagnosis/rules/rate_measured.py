"""The learning rate beside what a range test says.

What it is
    Training on a copy while the rate rises from 1e-7 to 10: where the loss falls fastest, and where it breaks away. A run's rate
    that is orders of magnitude from there learns nothing in the steps it has, or overshoots.

Why it happens
    A typo, a rate of another optimiser or batch size, a schedule that is stepped once a batch.

How it was seen
    open-reid#15: a typo in the schedule. fast-reid#541: 1e-2 with Adam, NaN.

What to do
    Take a rate a few times below the steepest descent for Adam, and warm up.

Source
    Smith 2017, arXiv 1506.01186. Thresholds ours: the sweep smooths over about a decade, so only a factor of 300 below the
    steepest rate, or a rate at which the loss rises again, counts; and nothing where the sweep hardly falls.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Abstained, Verdict
from unplateau.runs.record import Evidence, Finding

_TOO_LOW = 300.0
_TOO_HIGH = 3.0  # times the rate of the lowest loss
_LEAST_FALL = 0.2  # of ln I; a sweep that hardly falls, as that of a network that has learned, says nothing of rates
_SOURCE = "probe lr_range"


def judge_low(case: Case) -> Verdict:
    """Fire where the peak rate is far below the steepest descent."""
    if (rates := rates_measured(case)) is None:
        return _abstention(case)
    rate, steepest, _ = rates
    if rate <= 0 or steepest / rate < _TOO_LOW:
        return None
    return _finding("low", rate, steepest, ("learning-rate-too-low", "schedule-too-fast"), ("higher_learning_rate",))


def judge_high(case: Case) -> Verdict:
    """Fire where the peak rate is beyond the rate of the lowest loss."""
    if (rates := rates_measured(case)) is None:
        return _abstention(case)
    rate, steepest, lowest = rates
    if rate < _TOO_HIGH * lowest or rate < _TOO_HIGH * steepest:
        return None
    return _finding("high", rate, steepest, ("learning-rate-too-high", "no-warm-up"), ("lower_learning_rate", "warm_up"))


class Rates(NamedTuple):
    """What a range test tells."""

    probed: float
    """The peak rate of the training."""
    steepest: float
    lowest: float
    """Where the loss is lowest."""


def rates_measured(case: Case, *, least_fall: float = _LEAST_FALL) -> Rates | None:
    """Return what a range test told; None where there was none, or its loss fell by less than this share of ln I."""
    rate, steepest = case.measured("probed_rate").get(""), case.measured("rate_of_steepest_descent").get("")
    lowest, first = case.measured("rate_of_lowest_loss").get(""), case.measured("lr_range_first_loss").get("")
    if rate is None or steepest is None or lowest is None or first is None or not _fell(case, first, least_fall):
        return None
    return Rates(rate, steepest, lowest)


def _fell(case: Case, first: float, least_fall: float) -> bool:
    identities = case.measured("num_identities").get("", math.inf)
    return first - min(case.measured("lr_range_loss").values(), default=first) > least_fall * math.log(identities)


def _abstention(case: Case) -> Abstained | None:
    return Abstained("the loss hardly fell in the range test") if case.measured("lr_range_loss") else None


def _finding(word: str, rate: float, steepest: float, causes: tuple[str, ...], remedies: tuple[str, ...]) -> Finding:
    factor = max(rate / steepest, steepest / rate)
    text = f"peak rate {rate:.2g}, the loss falls fastest at {steepest:.2g} (factor {factor:.0f})"
    return Finding(
        code=f"learning-rate-too-{word}",
        title=f"The learning rate is too {word}, measured by a range test",
        severity="optimisation",
        confidence=0.7,
        evidence=(Evidence(text, rate, steepest, _SOURCE),),
        causes=causes,
        refuted_by="a burst of training at the other rate that brings nothing",
        next_test="a few hundred steps at both rates on the same batches (--bursts)",
        remedies=remedies,
    )  # fmt: skip
