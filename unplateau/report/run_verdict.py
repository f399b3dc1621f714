"""A run in one sentence, and its headline numbers."""

from __future__ import annotations

import math

from unplateau.diagnosis.track_record import LIKELY
from unplateau.report.content import Fact
from unplateau.report.run_view import RunView
from unplateau.report.words import duration_words
from unplateau.runs.record import Finding, RetrievalMetrics
from unplateau.selection.statistics import Estimate

_WELL_ENDED = ("no-improvement", "completed", "target-reached", "paused")
_SHORT = {"cross_entropy": "CE"}


def verdict_of(view: RunView) -> tuple[str, str]:
    """Return (one sentence, its tone: "good", "bad" or "open")."""
    broken = _broken(view)
    best = best_words(view)
    if broken is not None:
        return f"{broken.title.rstrip('.')} ({broken.code}). No hyper-parameter helps until this is fixed.", "bad"
    if view.stop is None:
        silence = f", no sign of life since {view.last_sign}" if view.last_sign else ""
        state = "Training now" if view.is_running else f"Broken off without a written reason{silence}"
        epochs = f"epoch {view.epochs[-1].epoch} of {view.max_epochs or '?'}" if view.epochs else "no epoch finished yet"
        return f"{state}: {epochs}{f'; {best}' if best else ''}.", "open" if view.is_running else "bad"
    headline = view.stop.headline.rstrip(".")
    tone = "good" if view.stop.code in _WELL_ENDED else "open" if view.stop.resumable and view.stop.exit_code >= 75 else "bad"
    if not best:
        return f"{headline}; nothing was validated.", tone if view.epochs else "bad"
    tests = [f"; test mAP {_share(view.tests[0].mAP)}{test_note(view.tests[0], view.times_scored)}"] if view.tests else []
    cause = _cause_within(view)
    if cause is not None:
        return f"{headline}: {best}{''.join(tests)}. {cause.title.rstrip('.')} (confidence {cause.confidence:.0%}).", "open"
    return f"{headline}: {best}{''.join(tests)}.", tone


def facts_of(view: RunView) -> tuple[Fact, ...]:
    """Return the headline numbers, the most important first."""
    return tuple(fact for fact in (_best(view), _test(view), _rank_one(view), _epochs(view), _losses(view), _time(view)) if fact)


def best_words(view: RunView) -> str:
    """Return the best validation mAP with its interval, in a phrase; empty where nothing was validated."""
    best = view.record.best
    if best is None or best.validation is None:
        return ""
    name = "held-out mAP" if view.protocol == "held-out" else "test-set mAP"
    return f"the best {name} is {_share(best.validation.mAP)} at epoch {best.epoch}{_interval(view.intervals.get(best.epoch))}"


def test_note(test: RetrievalMetrics, times_scored: int = 1) -> str:
    """Return how a test score came about, as a phrase that follows it.

    Args:
        test: the score.
        times_scored: how often the test set was scored in the run.
    """
    if test.chosen_on_it:
        return ", the best epoch was chosen on it: optimistic"
    return ", scored once" if times_scored <= 1 else f", scored {times_scored} times in this run: a little optimistic"


def _broken(view: RunView) -> Finding | None:
    found = [one for one in view.findings if one.severity == "pipeline" and one.confidence >= LIKELY]
    return found[0] if found else None


def _cause_within(view: RunView) -> Finding | None:
    """The first likely cause within the recipe: the pipeline is in order, and it is no mere note."""
    found = [one for one in view.findings if one.severity not in ("info", "pipeline") and one.confidence >= LIKELY]
    return found[0] if found else None


def _best(view: RunView) -> Fact | None:
    best = view.record.best
    if best is None or best.validation is None:
        return None
    name = "Best held-out mAP" if view.protocol == "held-out" else "Best test-set mAP (chosen on it: optimistic)"
    chance = f"chance {_share(best.validation.chance_mAP)}"
    return Fact(name, _share(best.validation.mAP), f"epoch {best.epoch}{_interval(view.intervals.get(best.epoch))}; {chance}")


def _test(view: RunView) -> Fact | None:
    if not view.tests:
        return None
    test = view.tests[0]
    note = f"{test.dataset}, query/gallery{test_note(test, view.times_scored)}; chance {_share(test.chance_mAP)}"
    return Fact("Test mAP", _share(test.mAP), note)


def _rank_one(view: RunView) -> Fact | None:
    best = view.record.best
    if view.tests and "1" in view.tests[0].cmc:
        return Fact("Test rank-1", _share(view.tests[0].cmc["1"]), f"{view.tests[0].num_queries} queries")
    if best is None or best.validation is None or "1" not in best.validation.cmc:
        return None
    kind = "Held-out" if view.protocol == "held-out" else "Test-set"
    return Fact(f"{kind} rank-1", _share(best.validation.cmc["1"]), f"{best.validation.num_queries} queries")


def _epochs(view: RunView) -> Fact | None:
    if not view.epochs:
        return None
    return Fact("Epochs", f"{view.epochs[-1].epoch} of {view.max_epochs or '?'}", f"{view.epochs[-1].steps} steps")


def _losses(view: RunView) -> Fact | None:
    if not view.epochs:
        return None
    losses = {name: value for name, value in view.epochs[-1].losses.items() if value is not None}
    names = " / ".join(_SHORT.get(name, name) for name in losses)
    return Fact(f"Last {names}", " / ".join(f"{value:.2f}" for value in losses.values()), "unweighted") if losses else None


def _time(view: RunView) -> Fact | None:
    if not view.epochs:
        return None
    total = sum(epoch.seconds for epoch in view.epochs)
    return Fact("Time", duration_words(total), f"{duration_words(total / len(view.epochs))} an epoch")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"  # NaN is written as null


def _interval(estimate: Estimate | None) -> str:
    if estimate is None or not math.isfinite(estimate.high):
        return ""
    return f" (95 % interval {100 * estimate.low:.1f} to {100 * estimate.high:.1f} %)"
