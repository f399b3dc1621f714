"""What to do next: begin a trial, continue one, or nothing. Asynchronous successive halving (Li et al. 2020, ASHA) on plain data.

A trial is trained to the end of a rung and stops there, resumable. Whenever there is room, the best of a rung that were not
continued yet are, at most one in `keep` of those that reached it; else a new trial begins. Nothing waits for a whole rung, so
several workers stay busy, and one worker loses nothing. The base is always trained to the end: it is what all are compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from unplateau.search.trial import BASE, FAILED, PAUSED, RUNNING, SUGGESTED, WAITING, Standing, Trial


@dataclass(frozen=True)
class Rungs:
    """Where trials are compared."""

    ends: tuple[int, ...]
    """Epochs, ascending; the last is that of a whole training."""
    keep: int = 3
    """One in so many goes on."""

    @property
    def last(self) -> int:
        return self.ends[-1]

    def next_end(self, epochs: int) -> int:
        """Return the end of the rung that a trial of so many epochs is in or before."""
        return next((end for end in self.ends if end > epochs), self.last)


@dataclass(frozen=True)
class Budget:
    """How much may be spent; None = no limit."""

    max_trials: int | None = None
    epochs: int | None = None


@dataclass(frozen=True)
class Step:
    """Train trial `number` until the end of epoch `until`; without a number a new trial is to be made."""

    number: int | None
    until: int


def make_rungs(max_epochs: int, *, keep: int = 3, first: int | None = None) -> Rungs:
    """Return rungs that end `keep` times later each, counted back from a whole training.

    Args:
        max_epochs: of a whole training.
        keep: one in so many goes on.
        first: no rung ends before this epoch; None = a ninth of the training, `max_epochs` = no pruning.

    >>> make_rungs(90).ends, make_rungs(8, keep=2, first=2).ends, make_rungs(30, first=30).ends
    ((10, 30, 90), (2, 4, 8), (30,))
    """
    smallest = max(1, first if first is not None else max_epochs // 9)
    ends = [max_epochs]
    while round(ends[0] / keep) >= smallest and round(ends[0] / keep) < ends[0]:
        ends.insert(0, round(ends[0] / keep))
    return Rungs(tuple(ends), keep)


def next_step(trials: Sequence[Standing], rungs: Rungs, budget: Budget, *, can_suggest: bool = True) -> Step | None:
    """Return what to do next, or None where nothing can be done now.

    Args:
        trials: all that were begun or are waiting, in any order.
        rungs: where they are compared.
        budget: what may be spent.
        can_suggest: whether a new trial can be made.
    """
    left = _epochs_left(trials, rungs, budget)
    for waiting in sorted((one for one in trials if one.state == WAITING), key=lambda one: (-one.epochs, one.number)):
        end = rungs.next_end(waiting.epochs)
        if _fits(end - waiting.epochs, left):
            return Step(waiting.number, end)
    promoted = _promotion(trials, rungs, left)
    if promoted is not None:
        return promoted
    if can_suggest and _may_begin(trials, rungs, budget, left):
        return Step(None, rungs.ends[0])
    return _finish_best(trials, rungs, left)


def scores(trials: Sequence[Standing], rungs: Rungs, *, enough: int) -> list[tuple[Standing, float]]:
    """Return the trials a sampler learns from, with scores that can be compared.

    As in BOHB (Falkner et al. 2018) these are the best mAP at the highest rung that enough trials have reached; a trial that
    failed by its own values (diverged, out of memory) has the score 0.

    Args:
        enough: number of trials that a rung needs; with fewer in every rung, the first one is taken.
    """
    for end in reversed(rungs.ends):
        reached = [(one, _score_at(one, end)) for one in trials if one.has_reached(end)]
        if sum(one.state != FAILED for one, _ in reached) >= enough or end == rungs.ends[0]:
            return reached
    raise AssertionError("there is a first rung")


def _score_at(one: Standing, end: int) -> float:
    return 0.0 if one.state == FAILED else one.best_by(end) or 0.0


def _promotion(trials: Sequence[Standing], rungs: Rungs, left: float) -> Step | None:
    for end, next_end in reversed(list(zip(rungs.ends, rungs.ends[1:], strict=False))):
        base = [one for one in trials if one.trial.origin == BASE and one.has_reached(end)]
        reached = sorted((one for one in _others(trials) if one.has_reached(end)), key=lambda one: _order(one, end))
        for one in (*base, *reached[: len(reached) // rungs.keep]):
            after = [replace(other, epochs=next_end) if other is one else other for other in trials]
            if one.state == PAUSED and one.epochs == end and _leaves_enough(next_end - end, trials, after, rungs, left):
                return Step(one.number, next_end)
    return None


def _may_begin(trials: Sequence[Standing], rungs: Rungs, budget: Budget, left: float) -> bool:
    if budget.max_trials is not None and len(trials) >= budget.max_trials:
        return False
    new = Standing(Trial(len(trials), "", SUGGESTED if trials else BASE, {}), PAUSED, epochs=rungs.ends[0])
    return _leaves_enough(rungs.ends[0], trials, [*trials, new], rungs, left)


def _leaves_enough(cost: int, before: Sequence[Standing], after: Sequence[Standing], rungs: Rungs, left: float) -> bool:
    """Whether a step can be paid for, with enough left to train the base and the best other trial to their ends.

    Where there is not enough for these two anyway, what is left may be spent.
    """
    is_hopeless = _reserve(before, rungs) > left
    return cost <= left if is_hopeless else cost + _reserve(after, rungs) <= left


def _reserve(trials: Sequence[Standing], rungs: Rungs) -> int:
    """Epochs that the base and the best other trial still need, beyond the rung they are in."""
    base = max((_reaches(one, rungs) for one in trials if one.trial.origin == BASE), default=0)
    others = max((_reaches(one, rungs) for one in _others(trials) if one.state != FAILED), default=rungs.last)
    return (rungs.last - base) + (rungs.last - others)


def _reaches(one: Standing, rungs: Rungs) -> int:
    """The epoch that a trial is at when what runs has come to the end of its rung."""
    if one.has_reached(rungs.last):
        return rungs.last
    return rungs.next_end(one.epochs) if one.state == RUNNING else one.epochs


def _finish_best(trials: Sequence[Standing], rungs: Rungs, left: float) -> Step | None:
    """When nothing else is to be done, the best trial beside the base is trained to the end, that the two can be compared."""
    others = [one for one in _others(trials) if one.state != FAILED]
    if any(one.state in (RUNNING, WAITING) for one in trials) or any(one.has_reached(rungs.last) for one in others):
        return None
    paused = [one for one in others if one.state == PAUSED]
    best = min(paused, key=lambda one: (-one.epochs, *_order(one, one.epochs)), default=None)
    if best is None:
        return None
    end = rungs.next_end(best.epochs)
    return Step(best.number, end) if _fits(end - best.epochs, left) else None


def _others(trials: Sequence[Standing]) -> list[Standing]:
    return [one for one in trials if one.trial.origin != BASE]


def _order(one: Standing, end: int) -> tuple[float, int]:
    return -_score_at(one, end), one.number


def _epochs_left(trials: Sequence[Standing], rungs: Rungs, budget: Budget) -> float:
    """What is left to spend, when those that run have come to the end of their rung."""
    if budget.epochs is None:
        return float("inf")
    spent = sum(rungs.next_end(one.epochs) if one.state == RUNNING else one.epochs for one in trials)
    return budget.epochs - spent


def _fits(epochs: int, left: float) -> bool:
    return epochs <= left
