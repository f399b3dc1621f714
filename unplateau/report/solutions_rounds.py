"""What halving did, in words: for the console, for a dropped run's `STOPPING_REASON.txt`, for `BEST_MODEL_SELECTION.txt`."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass, replace
from typing import Any

from unplateau.report.words import difference_words, points
from unplateau.runs.record import StopReason, from_plain
from unplateau.selection.halving import Placed, Round, Standings
from unplateau.selection.statistics import Difference

_WIDTH = 116
DROPPED = "Dropped by halving in round"
"""How the stopping reason of a dropped run begins."""


@dataclass(frozen=True)
class RoundsTold:
    """The rounds with what they saved and what they may have cost."""

    standings: Standings
    behind_kept: dict[str, Difference]
    """By dropped run: the last run that was kept minus it, both as they were at the cut."""
    epochs_trained: int
    epochs_of_all: int
    """What training all of them to the end takes at most."""
    measured: str = ""
    """What this plan lost in recorded experiments; empty for a plan of one's own."""


def rounds_from_plain(plain: dict[str, Any]) -> RoundsTold:
    """Build the rounds from what `selection.json` keeps of them.

    JSON has no infinity: a score that is null is that of a run without one, and an interval without an end has a null there.

    Raises:
        RecordError, KeyError, TypeError: it is not what was written.
    """
    rounds = [
        {**done, "placed": [_without_null(run, best_map=-math.inf) for run in done["placed"]]}
        for done in plain["standings"]["rounds"]
    ]
    behind = {
        name: {**one, "estimate": _without_null(one["estimate"], low=-math.inf, high=math.inf)}
        for name, one in plain["behind_kept"].items()
    }
    standings = {**plain["standings"], "rounds": rounds, "to_train": []}  # they were written when nothing was left to train
    return from_plain(RoundsTold, {**plain, "standings": standings, "behind_kept": behind})


def _without_null(plain: dict[str, Any], **instead: float) -> dict[str, Any]:
    return {**plain, **{name: value for name, value in instead.items() if plain[name] is None}}


def round_lines(done: Round) -> list[str]:
    """Return what a round decided, for the console."""
    kept = ", ".join(_scored(run) for run in done.kept)
    dropped = ", ".join(_scored(run) for run in done.dropped)
    return [f"Round {done.number}, best held-out mAP so far. Go on: {kept or 'none'}. Dropped: {dropped or 'none'}."]


def dropped_reason(stop: StopReason, name: str, done: Round) -> StopReason:
    """Return the stopping reason of a run that was dropped, made from that of its slice; the same again changes nothing."""
    headline = f"{DROPPED} {done.number}, after {stop.epochs_trained} of {stop.max_epochs} epochs"
    if stop.headline == headline:
        return stop
    place = next(place for place, run in enumerate(done.placed, 1) if run.name == name)
    sentence = (
        f"Round {done.number} compared {len(done.placed)} runs by their best held-out mAP so far; "
        f"{len(done.kept)} went on. This one was number {place}{_behind(done, name)}."
    )
    return replace(stop, headline=headline, evidence=(sentence, *stop.evidence))


def was_dropped(stop: StopReason | None) -> bool:
    """Return whether a run's stopping reason is that of `dropped_reason`."""
    return stop is not None and stop.code == "paused" and stop.headline.startswith(DROPPED)


def rounds_section(told: RoundsTold) -> list[str]:
    """Return the lines of the section on rounds."""
    share = told.epochs_trained / max(told.epochs_of_all, 1)
    lines = [
        _bullet(
            f"{told.epochs_trained} epochs were trained, {share:.0%} of the {told.epochs_of_all} that all runs take to the end."
        )
    ]
    for done in told.standings.rounds:
        lines.append(
            _bullet(
                f"Round {done.number}, after {done.cut.after:.0%} of a run's epochs: "
                f"kept {', '.join(_scored(run) for run in done.kept) or 'none'}."
            )
        )
        lines += [_bullet(_drop(run, done, told.behind_kept.get(run.name)), "    ") for run in done.dropped]
    return lines + [_bullet(sentence) for sentence in _cost(told)]


def of_rounds(told: RoundsTold | None) -> str:
    """Return what the line on how sure the choice is must add: that some runs were not trained to their end."""
    return of_dropped(len(_scored_drops(told)) if told is not None else 0, "ROUNDS")


def of_dropped(number: int, section: str) -> str:
    """Return the same of so many dropped runs; `section` says more."""
    if not number:
        return ""
    noun = "run was" if number == 1 else "runs were"
    return f" ({number} {noun} dropped before the end and compared up to there, see {section})"


def _scored_drops(told: RoundsTold) -> list[Placed]:
    """Runs that were dropped by their score, not because they have none."""
    return [run for done in told.standings.rounds for run in done.dropped if run.best_map > -math.inf]


def unsure_drops(told: RoundsTold) -> tuple[str, ...]:
    """Return the runs that were dropped though they could not be told apart from the last one kept."""
    return tuple(name for name, one in told.behind_kept.items() if not (one.is_sure and one.estimate.value > 0))


def _drop(run: Placed, done: Round, behind: Difference | None) -> str:
    if run.best_map == -math.inf:
        return f"{run.name}: out, it has no validated model"
    words = f"{run.name}: dropped after epoch {run.epoch}, mAP {run.best_map:.2%}"
    if behind is None or not done.kept:
        return words
    return f"{words}; {done.kept[-1].name}, the last that was kept, was ahead by {difference_words(behind)}"


def _cost(told: RoundsTold) -> list[str]:
    """What it may have cost: here, and in experiments where all runs were trained to the end."""
    if not _scored_drops(told):
        return []
    unsure = unsure_drops(told)
    here = (
        f"What this may have cost: {', '.join(unsure)} could not be told apart from the last run kept when dropped, so the "
        "better one may be among them. To be sure, start again without --halving: every run goes on where it is frozen."
        if unsure
        else "What this may have cost: every dropped run was clearly behind the last one kept. A run can still overtake later, "
        "above all one whose learning rate was still to fall; without --halving every run goes on where it is frozen."
    )
    return [here, *([told.measured] if told.measured else ["What this plan loses on average was not measured."])]


def _behind(done: Round, name: str) -> str:
    scores = {run.name: run.best_map for run in done.placed}
    if not done.kept or scores[name] == -math.inf:
        return ""
    last = done.kept[-1]
    return f", {points(last.best_map - scores[name])} behind {last.name}, the last that went on"


def _scored(run: Placed) -> str:
    return run.name if run.best_map == -math.inf else f"{run.name} {run.best_map:.2%}"


def _bullet(sentence: str, indent: str = "  ") -> str:
    return textwrap.fill(
        sentence, _WIDTH, initial_indent=f"{indent}- ", subsequent_indent=f"{indent}  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
