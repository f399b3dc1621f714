"""What is known of solutions that were tried, as plain data. Its words: `solutions_text`, `solutions_expected`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unplateau.config.schema import Config
from unplateau.report.solutions_rounds import RoundsTold
from unplateau.runs.layout import RunFolder
from unplateau.runs.record import EpochRecord, RetrievalMetrics, StopReason
from unplateau.selection.select import Selection

SOLUTIONS, COMPARISON, SEARCH = "solutions", "comparison", "search"
"""Kinds of reports: of what a launcher trained, of runs that were there, and of trials of a search."""


@dataclass(frozen=True)
class TriedSolution:
    """One run: what it tested and how it went."""

    name: str
    config_file: Path
    folder: RunFolder
    config: Config | None
    """None where the file could not be read."""
    changes: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    """Against the control: key -> (control's value, its own)."""
    is_control: bool = False
    hypothesis: str = ""
    expected: str = ""
    """As its file says it."""
    epochs: tuple[EpochRecord, ...] = ()
    stop: StopReason | None = None
    problem: str = ""
    """Why it has no stopping reason of its own."""
    command: str = ""
    """The command line that asks for this run; flags and overrides can be appended."""
    foreign_protocol: str = ""
    """For results of another trainer: what they were measured on. There is no model then, and `config_file` is the results."""

    @property
    def ended(self) -> str:
        """Why it ended, in a line."""
        if self.foreign_protocol:
            return "evaluated by another trainer"
        if self.stop is not None:
            return f"{self.stop.headline} ({self.stop.epochs_trained}/{self.stop.max_epochs})"
        first = next(iter(self.problem.splitlines()), "")
        return f"failed: {first}" if first else "not trained"


@dataclass(frozen=True)
class SolutionsReport:
    """All that `BEST_MODEL_SELECTION.txt` says."""

    selection: Selection
    tried: tuple[TriedSolution, ...]
    protocol: str = ""
    """What the winner's mAP was measured on: "held-out" or "test"; empty where none trained."""
    tests: tuple[RetrievalMetrics, ...] = ()
    """Of the winner, scored after the selection was written."""
    test_problem: str = ""
    broken_pipeline: str = ""
    """Why no hyper-parameter can help, where the diagnosis of the control says so."""
    notes: tuple[str, ...] = ()
    kind: str = SOLUTIONS
    recipes: Mapping[str, str] = field(default_factory=dict)
    """By run, the recipe it is a seed of; a run that is not named is a recipe of its own."""
    compare_command: str = ""
    """The command line that compares these runs; flags can be appended."""
    rounds: RoundsTold | None = None
    """What halving did; None where every run was trained to its end."""
    dropped: tuple[str, ...] = ()
    """Where runs are compared again: those that halving once dropped."""

    @property
    def winner(self) -> TriedSolution | None:
        """The run whose model to use: the best one of the recipe that won."""
        first = self.selection.winner
        return next((run for run in self.tried if first is not None and run.name == first.best_run), None)

    @property
    def control(self) -> TriedSolution | None:
        return next((run for run in self.tried if run.is_control), None)

    @property
    def helped(self) -> tuple[str, ...]:
        """Solutions that are surely better than the control."""
        over = [(run.name, run.over_control) for run in self.selection.ranked]
        return tuple(name for name, one in over if one is not None and one.is_sure and one.estimate.value > 0)
