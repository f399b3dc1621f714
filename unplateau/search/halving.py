"""What to do next: begin a trial, continue one, or nothing. Asynchronous successive halving (Li et al. 2020, ASHA) on plain data.

A trial is trained to the end of a rung and stops there, resumable. Whenever there is room, the best of a rung that were not
continued yet are, at most one in `keep` of those that reached it; else a new trial begins. Nothing waits for a whole rung, so
several workers stay busy, and one worker loses nothing. The base is always trained to the end: it is what all are compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unplateau.search.trial import BASE, FAILED, PAUSED, RUNNING, WAITING, Standing


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
        reached = sorted((one for one in trials if one.has_reached(end)), key=lambda one: (-_score_at(one, end), one.number))
        allowed = len(reached) // rungs.keep
        for place, one in enumerate(reached):
            is_next = place < allowed or one.trial.origin == BASE
            if is_next and one.state == PAUSED and one.epochs == end and _fits(next_end - end, left):
                return Step(one.number, next_end)
    return None


def _may_begin(trials: Sequence[Standing], rungs: Rungs, budget: Budget, left: float) -> bool:
    """Whether a new trial can be paid for, with enough left to train the best one to its end."""
    if budget.max_trials is not None and len(trials) >= budget.max_trials:
        return False
    best = _best_paused(trials)
    reserve = rungs.last - best.epochs if best is not None and not _is_one_done(trials, rungs) else 0
    return _fits(rungs.ends[0] + reserve, left)


def _finish_best(trials: Sequence[Standing], rungs: Rungs, left: float) -> Step | None:
    """When nothing else is to be done, the best trial is still trained to the end, whatever its rung would have kept."""
    if any(one.state in (RUNNING, WAITING) for one in trials):
        return None
    best = _best_paused(trials)
    if best is None or _is_best_done(trials, best, rungs):
        return None
    end = rungs.next_end(best.epochs)
    return Step(best.number, end) if _fits(end - best.epochs, left) else None


def _best_paused(trials: Sequence[Standing]) -> Standing | None:
    paused = [one for one in trials if one.state == PAUSED and one.best is not None]
    return max(paused, key=lambda one: (one.best or 0.0, -one.number), default=None)


def _is_best_done(trials: Sequence[Standing], best: Standing, rungs: Rungs) -> bool:
    """Whether a trial that was trained to the end is better than the best one that was not."""
    return any(one.has_reached(rungs.last) and (one.best or 0.0) >= (best.best or 0.0) for one in trials)


def _is_one_done(trials: Sequence[Standing], rungs: Rungs) -> bool:
    return any(one.has_reached(rungs.last) and one.best is not None and one.trial.origin != BASE for one in trials)


def _epochs_left(trials: Sequence[Standing], rungs: Rungs, budget: Budget) -> float:
    """What is left to spend, when those that run have come to the end of their rung."""
    if budget.epochs is None:
        return float("inf")
    spent = sum(rungs.next_end(one.epochs) if one.state == RUNNING else one.epochs for one in trials)
    return budget.epochs - spent


def _fits(epochs: int, left: float) -> bool:
    return epochs <= left
