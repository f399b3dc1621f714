"""The text of `COMPARISON.txt`: every trial of a search, the best first, and which parameters decided."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from unplateau.report.search_content import SearchReport
from unplateau.report.words import shown
from unplateau.search.trial import BASE, FAILED, FINISHED, PAUSED, Standing

_WIDTH = 116
_ROW = "{:>4}  {:<44}  {:>7}  {:>16}  {:>6}  {:>7}  {}"
_STATES = {FINISHED: "to the end", PAUSED: "pruned"}


def comparison_text(report: SearchReport) -> str:
    """Return the whole text."""
    sections = [
        ("", _head(report)),
        ("ALL TRIALS, the longest trained first, then by held-out mAP (compare within equal epochs only):", _table(report)),
        ("WHAT EACH TRIAL CHANGES (the others keep the base's value):", _changes(report)),
        ("WHAT DECIDES:", _importances(report)),
        ("NOTES:", _notes(report)),
    ]
    return "\n\n".join("\n".join([title, *lines] if title else lines) for title, lines in sections if lines) + "\n"


def _head(report: SearchReport) -> list[str]:
    whole = report.rung_ends[-1]
    epochs = sum(one.epochs for one in report.trials)
    ended = [sum(one.state == state for one in report.trials) for state in (FINISHED, PAUSED, FAILED)]
    return [
        f"BEST TRIAL: {report.winner or 'none trained'}   (how sure that is: BEST_MODEL_SELECTION.txt)",
        f"TRIALS: {len(report.trials)}: {ended[0]} trained to the end, {ended[1]} pruned, {ended[2]} failed",
        f"EPOCHS: {epochs}, as many as {epochs / whole:.1f} whole trainings of {whole}; {_hours(report.seconds)}",
    ]


def _table(report: SearchReport) -> list[str]:
    ranked = sorted(report.trials, key=lambda one: (one.state != FINISHED, -one.epochs, -(one.best or 0.0), one.number))
    rows = [_ROW.format("", "trial", "mAP", "95 % interval", "epoch", "trained", "ended")]
    return rows + [_row(place, one, report) for place, one in enumerate(ranked, 1)]


def _row(place: int, one: Standing, report: SearchReport) -> str:
    estimate = report.estimates.get(one.trial.name)
    score = "-" if one.best is None else f"{one.best:.2%}"
    interval = "-" if estimate is None else f"{100 * estimate.low:.1f} to {100 * estimate.high:.1f}"
    epoch = report.best_epochs.get(one.trial.name, "-")
    ended = one.ended or _STATES.get(one.state, "broken off")
    return _ROW.format(place, one.trial.name, score, interval, epoch, one.epochs, ended).rstrip()


def _changes(report: SearchReport) -> list[str]:
    return [_wrapped(f"{one.trial.name}: {_change_of(one)}") for one in report.trials]


def _change_of(one: Standing) -> str:
    if one.trial.origin == BASE:
        return "the base itself"
    return changes_words(one.trial.changes) or "nothing"


def changes_words(changes: Mapping[str, Any]) -> str:
    """Return a change of configuration in a line."""
    return ", ".join(f"{key} {shown(value)}" for key, value in changes.items())


def _importances(report: SearchReport) -> list[str]:
    if not report.importances:
        return ["  too few trials to say which parameter decides"]
    lines = [
        f"  {one.name:<28} {one.share:>6.1%}   ({one.low:.0%} to {one.high:.0%})  {'#' * round(30 * one.share)}"
        for one in report.importances
    ]
    why = (
        f"Share of each parameter in what puts a trial among the best (PED-ANOVA, Watanabe et al. 2023), from "
        f"{report.num_compared} trials after {report.importance_epoch} epochs; in brackets 95 % of resampled sets of trials. It "
        "says where to look, not which value is best, and a parameter that matters only late in training is underrated."
    )
    return [*lines, _wrapped(why)]


def _notes(report: SearchReport) -> list[str]:
    notes = [
        "All mAP here are on held-out identities, one seed a trial. The best of many trials is a little flattered, the more so "
        "the more were tried.",
        f"Suggested by {report.sampler}.",
    ]
    if len(report.rung_ends) > 1:
        rungs = ", ".join(map(str, report.rung_ends))
        notes.insert(
            0, f"Trials are compared after {rungs} epochs, and the best part of them goes on; pruned ones can be resumed."
        )
    return [_wrapped(f"- {note}") for note in notes]


def _wrapped(text: str) -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"
