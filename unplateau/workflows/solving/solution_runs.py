"""The runs that `run_solutions` makes: the control and one a solution file, and where each of them stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unplateau.base.errors import ConfigError, UsageError
from unplateau.config.delta import difference
from unplateau.config.load import load
from unplateau.config.recipe import ALIKE, CONTINUING_KEYS, HARMLESS_KEYS
from unplateau.config.schema import Config
from unplateau.runs.layout import RunFolder, run_folder
from unplateau.runs.reader import read_stop
from unplateau.solutions.asked_for import CONTROL
from unplateau.solutions.read import SolutionFile, common_base, read_solutions
from unplateau.workflows.training.request import command_line

SOLUTIONS_FOLDER = Path("custom_configs") / "plateau_solutions"
OUTPUT_DIR = Path("logs") / "plateau_solutions"
_CONTROL_HYPOTHESIS = "The stalled configuration unchanged, in a trainer that works, with the same seed."
_TRIED_AGAIN = ("out-of-memory", "disk-full", "error", "preflight", "killed", "interrupted", "preempted", "time-budget")
_FAILED = ("out-of-memory", "disk-full", "error", "preflight", "killed", "diverged")


@dataclass(frozen=True)
class SolutionsRequest:
    """A command line of `run-solutions`."""

    folder: Path = SOLUTIONS_FOLDER
    output_dir: Path = OUTPUT_DIR
    overrides: tuple[str, ...] = ()
    """KEY VALUE pairs for every run."""
    control: Path | None = None
    """The stalled configuration; by default what the solution files name as their base."""
    restart_changed: bool = False
    """Begin anew the runs whose configuration changed since they were begun; the old ones are kept under another name."""
    score_test: bool = True
    is_quiet: bool = False
    halving: str = ""
    """A plan of `selection.halving`, by name or as cuts; empty: every run is trained to its end."""

    @property
    def command(self) -> str:
        """The command line that goes on with this."""
        words = ["unplateau", "run-solutions", str(self.folder), "--output-dir", str(self.output_dir)]
        words += ["--control", str(self.control)] if self.control else []
        words += [] if self.score_test else ["--no-test"]
        words += ["--halving", "--halving-plan", self.halving] if self.halving else []
        return command_line([*words, *self.overrides])

    @property
    def all_overrides(self) -> tuple[str, ...]:
        """What every training is given: the test set is the winner's alone."""
        return (*ALIKE, *self.overrides, "OUTPUT_DIR", self.output_dir.as_posix(), "VALIDATION.SCORE_TEST", "False")


@dataclass(frozen=True)
class PlannedRun:
    """One run that is to be there in the end."""

    solution: SolutionFile
    folder: RunFolder
    config: Config | None
    """None where the file has a problem."""
    notes: tuple[str, ...] = ()
    problem: str = ""
    overrides: tuple[str, ...] = ()
    """KEY VALUE pairs of this training alone, such as where its slice ends."""

    @property
    def name(self) -> str:
        return self.solution.name

    @property
    def is_control(self) -> bool:
        return self.name == CONTROL


@dataclass(frozen=True)
class Standing:
    """Where a run stands, and what is to be done: "start", "resume", "restart" or nothing."""

    state: str
    action: str = ""
    changed: tuple[str, ...] = ()
    """Keys in which a begun run differs from what is asked for now, of those that change results."""


def plan_runs(folder: Path, output_dir: Path, overrides: Sequence[str], *, control: Path | None = None) -> tuple[PlannedRun, ...]:
    """Return the control, where the solutions name what they change, and every solution of the folder.

    Raises:
        DataNotFoundError: the folder holds no solution.
        UsageError: the overrides leave nothing to choose by.
        ConfigError: not one of the files can be used.
    """
    solutions = read_solutions(folder)
    base = control or common_base(solutions)
    own_control = [solution for solution in solutions if solution.name == CONTROL]
    if base is not None and not own_control:
        solutions = (SolutionFile(CONTROL, base, hypothesis=_CONTROL_HYPOTHESIS), *solutions)
    runs = tuple(_planned(solution, output_dir, overrides) for solution in solutions)
    usable = [run for run in runs if run.config is not None]
    if not usable:
        raise ConfigError(list(dict.fromkeys(run.problem for run in runs)))
    _check_validation(usable)
    return runs


def changes_of(run: PlannedRun, runs: Sequence[PlannedRun]) -> dict[str, tuple[Any, Any]]:
    """Return what a run changes: key -> (control's value, its own); empty where there is no control to compare with."""
    control = next((other.config for other in runs if other.is_control), None)
    return {} if control is None or run.config is None else difference(control, run.config)


def epochs_of(run: PlannedRun) -> int:
    """Return after how many epochs it ends by itself; 0 where its file has a problem."""
    if run.config is None:
        return 0
    return min(run.config.SOLVER.STOP_EPOCH or run.config.SOLVER.MAX_EPOCH, run.config.SOLVER.MAX_EPOCH)


def standing_of(run: PlannedRun) -> Standing:
    """Return where a run stands according to its folder."""
    if run.config is None:
        return Standing("failed")
    folder = run.folder
    if not folder.checkpoint_manifest.exists():
        return Standing("waiting", "start")
    stop = read_stop(folder)
    changed = _changed(run)
    refused = tuple(key for key in changed if key not in (*CONTINUING_KEYS, *HARMLESS_KEYS))
    if refused:
        return Standing("changed", "restart", refused)
    if stop is None or stop.code in _TRIED_AGAIN:
        return Standing("half done", "resume")
    if any(key in CONTINUING_KEYS for key in changed):
        return Standing("half done", "resume")
    return Standing("failed" if stop.code in _FAILED else "finished")


def ended_state(run: PlannedRun) -> str:
    """Return "finished", "failed" or "half done" for a run whose process has ended."""
    stop = read_stop(run.folder) if run.config is not None else None
    if stop is None or stop.code in _FAILED:
        return "failed"
    return "half done" if stop.code in _TRIED_AGAIN else "finished"


def _changed(run: PlannedRun) -> tuple[str, ...]:
    assert run.config is not None  # the caller looked
    try:
        return tuple(difference(load(run.folder.config).config, run.config))
    except ConfigError:  # written by another version; the training itself says what is wrong
        return ()


def _planned(solution: SolutionFile, output_dir: Path, overrides: Sequence[str]) -> PlannedRun:
    folder = run_folder(output_dir, solution.name)
    try:
        loaded = load(solution.path, overrides)
    except ConfigError as error:
        return PlannedRun(solution, folder, None, problem=str(error))
    return PlannedRun(solution, folder, loaded.config, loaded.notes)


def _check_validation(runs: Sequence[PlannedRun]) -> None:
    for run in runs:
        validation = run.config.VALIDATION if run.config is not None else None
        if validation is not None and validation.HELD_OUT == 0 and not validation.ON_TEST:
            raise UsageError(
                f"{run.name}: VALIDATION.HELD_OUT is 0, so no run can be chosen. Hold identities out: VALIDATION.HELD_OUT 0.1."
            )
