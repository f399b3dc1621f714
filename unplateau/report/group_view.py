"""All that a page of several runs is made from: the runs, the selection among them, and what a search learned.

`selection.json` and `search.json` are read here; keys that are absent cost their part of the page, values of a wrong kind are
errors, for a page that guesses is worse than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from unplateau.base.errors import RecordError
from unplateau.config.schema import Config
from unplateau.report.content import Live
from unplateau.report.group_ahead import Ahead
from unplateau.report.solutions_content import SOLUTIONS
from unplateau.report.words import shown
from unplateau.runs.reader import RunRecord
from unplateau.runs.record import EpochRecord, RetrievalMetrics, from_plain
from unplateau.selection.statistics import Estimate


@dataclass(frozen=True)
class GroupRun:
    """One run among others."""

    name: str
    """Its folder, relative to the page's."""
    record: RunRecord
    config: Config | None = None
    is_running: bool = False
    best_map: Estimate | None = None
    """The validation mAP at the best epoch, with its interval; None where it was not recorded."""
    has_page: bool = False
    changes: Mapping[str, str] = field(default_factory=dict)
    """What it tests, in words, by key; against the control or the base."""

    @property
    def best(self) -> EpochRecord | None:
        return self.record.best

    @property
    def score(self) -> float:
        """The best validation mAP; below every score where nothing was validated."""
        return self.best.validation.mAP if self.best is not None and self.best.validation is not None else -1.0

    @property
    def task(self) -> tuple[str, str]:
        """(protocol, data set) of its validation; runs of different tasks are not comparable."""
        metrics = next((epoch.validation for epoch in self.record.epochs if epoch.validation is not None), None)
        return (metrics.protocol, metrics.dataset) if metrics is not None else ("", "")


@dataclass(frozen=True)
class Compared:
    """A difference between two runs, in mAP as a share."""

    estimate: Estimate | None
    """None where there are too little is known for an interval; `value` still holds."""
    value: float


@dataclass(frozen=True)
class Chosen:
    """One run of a selection, or one recipe with its seeds."""

    name: str
    """Of the recipe, where it has several runs."""
    run: str
    """Its best run."""
    epoch: int
    best_map: Estimate | None
    value: float
    behind_winner: Compared | None
    over_control: Compared | None


@dataclass(frozen=True)
class SelectionView:
    """What `selection.json` says."""

    verdict: str = ""
    how_sure: str = ""
    """The verdict as `BEST_MODEL_SELECTION.txt` has it: what was compared, up to where, and with how many seeds."""
    kind: str = SOLUTIONS
    protocol: str = ""
    """What the choice was made on: "held-out" or "test"."""
    winner: str = ""
    """The run whose model to use."""
    chosen: tuple[Chosen, ...] = ()
    control: str = ""
    num_identities: int = 0
    tests: tuple[RetrievalMetrics, ...] = ()
    helped: tuple[str, ...] = ()
    broken_pipeline: str = ""
    changes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By run, what it changes against the control."""

    @property
    def best(self) -> Chosen | None:
        """The winner, or the recipe that it is the best run of."""
        return next((one for one in self.chosen if one.run == self.winner), None)


@dataclass(frozen=True)
class SearchView:
    """What `search.json` says beyond its selection."""

    importances: Mapping[str, Estimate] = field(default_factory=dict)
    """By parameter, its share of what made trials good, with an interval."""
    changes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By trial's folder, what it changes against the base."""
    states: Mapping[str, str] = field(default_factory=dict)
    """By trial's folder, how far it came."""


@dataclass(frozen=True)
class GroupView:
    """Several runs as their page sees them."""

    title: str
    runs: tuple[GroupRun, ...]
    selection: SelectionView | None = None
    search: SearchView | None = None
    problems: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    """Names of text files beside the page that are worth opening."""
    written: str = ""
    live: Live | None = None
    """None where nobody writes the page again."""
    ahead: Ahead | None = None
    """What the launcher that writes it still has to do; None where none is at work."""
    own_control: str = ""
    """The run that others are changes of, where no selection names it; empty for none."""

    @property
    def kind(self) -> str:
        if self.search is not None:
            return "search"
        if self.selection is None:
            return "solutions" if self.own_control else "runs"
        return "solutions" if self.selection.kind == SOLUTIONS else "runs"

    @property
    def control(self) -> str:
        """The run that others are changes of; empty for none."""
        return self.selection.control if self.selection is not None else self.own_control

    @property
    def ranked(self) -> tuple[GroupRun, ...]:
        """The runs, the best first; the winner of the selection before all others."""
        winner = self.selection.winner if self.selection is not None else ""
        return tuple(sorted(self.runs, key=lambda run: (run.name != winner, -run.score, run.name)))


def read_selection(plain: Mapping[str, Any], source: str) -> SelectionView:
    """Return what a `selection.json` says.

    Raises:
        RecordError: a value is of another kind than expected.
    """
    try:
        selection = plain.get("selection") or {}
        return SelectionView(
            verdict=str(selection.get("verdict", "")),
            how_sure=str(plain.get("how_sure", "")),
            kind=str(plain.get("kind", SOLUTIONS)),
            protocol=str(plain.get("protocol", "")),
            winner=str(plain.get("winner") or ""),
            chosen=tuple(_chosen(one) for one in selection.get("ranked", [])),
            control=str(selection.get("control") or ""),
            num_identities=int(selection.get("num_identities", 0)),
            tests=tuple(from_plain(RetrievalMetrics, one) for one in plain.get("tests", [])),
            helped=tuple(plain.get("helped", ())),
            broken_pipeline=str(plain.get("broken_pipeline") or ""),
            changes={name: _pairs(run.get("changes", {})) for name, run in plain.get("runs", {}).items()},
        )
    except (TypeError, ValueError, OverflowError, KeyError, AttributeError) as problem:
        raise RecordError(
            f"{source} is not a selection as this version writes it ({type(problem).__name__}: {problem})."
        ) from problem


def read_search(plain: Mapping[str, Any], source: str) -> SearchView:
    """Return what a `search.json` says.

    Raises:
        RecordError: a value is of another kind than expected.
    """
    try:
        trials = {str(trial["folder"]): trial for trial in plain.get("trials", [])}
        shares = (plain.get("importances") or {}).get("shares", [])
        return SearchView(
            importances={str(one["name"]): Estimate(*(float(one[end]) for end in ("share", "low", "high"))) for one in shares},
            changes={name: _pairs(trial.get("changes", {})) for name, trial in trials.items()},
            states={name: str(trial.get("state", "")) for name, trial in trials.items()},
        )
    except (TypeError, ValueError, OverflowError, KeyError, AttributeError) as problem:
        raise RecordError(
            f"{source} is not a search as this version writes it ({type(problem).__name__}: {problem})."
        ) from problem


def _chosen(plain: Mapping[str, Any]) -> Chosen:
    behind, over = plain.get("behind_winner"), plain.get("over_control")
    runs = plain.get("runs") or [plain]
    return Chosen(
        str(plain["name"]), str(runs[0]["name"]), int(plain["epoch"]),
        _estimate(plain["best_map"]), float(plain["best_map"]["value"]),
        _compared(behind) if behind else None, _compared(over) if over else None,
    )  # fmt: skip


def _compared(plain: Mapping[str, Any]) -> Compared:
    return Compared(_estimate(plain["estimate"]), float(plain["estimate"]["value"]))


def _estimate(plain: Mapping[str, Any]) -> Estimate | None:
    """An interval without ends is written as null."""
    if plain.get("low") is None or plain.get("high") is None:
        return None
    return Estimate(float(plain["value"]), float(plain["low"]), float(plain["high"]))


def _pairs(changes: Mapping[str, Any]) -> dict[str, str]:
    """Changes, written as (before, after), in words."""
    return {str(key): shown(after) for key, (_, after) in changes.items()}
