"""Counts how often an answer is right: against sets of causes, where causes of one cure are one class. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.plateaubench.diagnosing import Answer, classes

SURE = 0.75
_BINS = ((0.5, 0.7), (0.7, 0.85), (0.85, 1.01))


@dataclass(frozen=True)
class Case:
    """One diagnosed run of a fault that hurts."""

    name: str
    causes: frozenset[str]
    answer: Answer

    def is_right(self, *, among: int = 1) -> bool:
        """Whether one of the first sets holds an acceptable class."""
        wanted = classes(self.causes)
        return self.answer.is_alarm and any(classes(named) & wanted for named in self.answer.ranked[:among])

    @property
    def is_first_word_right(self) -> bool:
        """Whether the first cause of the first set is acceptable by itself."""
        return self.is_right() and bool(classes(self.answer.ranked[0][:1]) & classes(self.causes))


@dataclass(frozen=True)
class Score:
    """How a diagnoser did on faults."""

    count: int
    detected: int
    top1: int
    top3: int
    first_word: int
    abstained: int
    wrong: int
    """Said something wrong at a confidence of 0.5 or more."""
    surely_wrong: int
    """The same at 0.75 or more."""
    classes_named: float
    """Mean number of classes in the first answer."""
    brier: float | None
    """Mean squared distance of confidence from being right; None without an answer."""
    calibration: tuple[tuple[str, int, float, float], ...]
    """(bin of confidence, answers, mean confidence, share that is right)."""


def score(cases: Sequence[Case]) -> Score:
    """Count."""
    spoke = [case for case in cases if case.answer.is_alarm]
    wrong = [case for case in spoke if not case.is_right()]
    sizes = [len(classes(case.answer.ranked[0])) for case in spoke]
    squares = [(case.answer.confidence - case.is_right()) ** 2 for case in spoke]
    return Score(
        count=len(cases), detected=len(spoke), top1=sum(case.is_right() for case in cases),
        top3=sum(case.is_right(among=3) for case in cases), first_word=sum(case.is_first_word_right for case in cases),
        abstained=len(cases) - len(spoke), wrong=len(wrong),
        surely_wrong=sum(case.answer.confidence >= SURE for case in wrong),
        classes_named=sum(sizes) / len(sizes) if sizes else 0.0, brier=sum(squares) / len(squares) if squares else None,
        calibration=tuple(_bin(spoke, low, high) for low, high in _BINS),
    )  # fmt: skip


def interval(successes: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927).

    >>> tuple(round(end, 2) for end in interval(0, 100))
    (0.0, 0.04)
    """
    if not count:
        return 0.0, 1.0
    z, share = 1.96, successes / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def _bin(spoke: Sequence[Case], low: float, high: float) -> tuple[str, int, float, float]:
    inside = [case for case in spoke if low <= case.answer.confidence < high]
    name = f"{low:.2f}-{min(high, 1.0):.2f}"
    if not inside:
        return name, 0, 0.0, 0.0
    return (
        name,
        len(inside),
        sum(case.answer.confidence for case in inside) / len(inside),
        sum(case.is_right() for case in inside) / len(inside),
    )
