"""`run_plateau_solutions`: train a control and every solution, one after the other, and name the best model.

Each run is a process of our own train command (`train_process`), so a failed one costs one run. Started again, everything goes on
where it stood. In rounds, for fewer epochs: `halving`. Choosing and scoring: `choose_solution`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from unplateau.base.errors import UsageError
from unplateau.base.locks import FileLock
from unplateau.engine.requests import StopRequests
from unplateau.report.solutions_console import SolutionsConsole
from unplateau.runs.reader import is_running
from unplateau.selection.halving import Plan, Standings, read_plan
from unplateau.workflows.reporting.report_group import LiveGroupReport
from unplateau.workflows.solving.choose_solution import Chosen, choose
from unplateau.workflows.solving.halving import Train, refuse_unlike, slice_end, train_in_rounds
from unplateau.workflows.solving.solution_runs import (
    PlannedRun,
    SolutionsRequest,
    Standing,
    changes_of,
    ended_state,
    epochs_of,
    plan_runs,
    standing_of,
)
from unplateau.workflows.training.killed import write_killed
from unplateau.workflows.training.request import TrainRequest
from unplateau.workflows.training.tidy import tidy_launcher
from unplateau.workflows.training.train_process import TrainProcess, train_command

_LAUNCHER = "launcher"
_LOOK_EVERY_SECONDS = 0.5
INTERRUPTED = 130


@dataclass(frozen=True)
class SolutionsOutcome:
    """What came of it."""

    chosen: Chosen | None
    """None where it was interrupted before all runs had their turn."""
    exit_code: int


def run_solutions(request: SolutionsRequest) -> SolutionsOutcome:
    """Train what is missing, then choose.

    Raises:
        UsageError, ConfigError, DataNotFoundError: nothing was begun.
    """
    if "OUTPUT_DIR" in request.overrides[::2]:
        raise UsageError("OUTPUT_DIR is set by run-solutions. Use --output-dir FOLDER.")
    plan = read_plan(request.halving) if request.halving else ()
    runs = plan_runs(request.folder, request.output_dir, request.all_overrides, control=request.control)
    _refuse_changed(request, runs)
    if plan:
        refuse_unlike(runs)
    lock = FileLock(request.output_dir / _LAUNCHER / ".lock")
    if not lock.acquire():
        raise UsageError(f"Another run-solutions is at work in {request.output_dir}. Wait for it, or use --output-dir.")
    try:
        tidy_launcher(request.output_dir, request.output_dir / _LAUNCHER)
        return _run_all(request, runs, plan)
    finally:
        lock.release()


def _run_all(request: SolutionsRequest, runs: Sequence[PlannedRun], plan: Plan) -> SolutionsOutcome:
    problems = {run.name: run.problem for run in runs if run.problem}
    page = LiveGroupReport(request.output_dir, ahead=lambda: console.ahead())
    console = SolutionsConsole(
        [(run.name, run.folder, epochs_of(run)) for run in runs],
        is_quiet=request.is_quiet,
        on_look=page.look,
    )
    with StopRequests() as requests, console:
        for run in runs:
            console.set_state(run.name, standing_of(run).state, problems.get(run.name, ""))
        console.say_equal([run.name for run in runs if run.config and not run.is_control and not changes_of(run, runs)])

        def train(run: PlannedRun) -> bool:
            problems[run.name] = _train(request, run, standing_of(run), console, requests)
            console.set_state(run.name, slice_end(run) or ended_state(run), problems[run.name])
            return requests.pending() is None

        finished = train_in_rounds(runs, plan, console, train) if plan else _train_each(runs, train)
        if finished is None or requests.pending() is not None:
            page.close()
            console.say(f"Stopped; everything finished so far is kept. Go on with:  {request.command}")
            return SolutionsOutcome(None, INTERRUPTED)
    chosen = choose(request, runs, problems, console.say, rounds=finished if plan else None)
    return SolutionsOutcome(chosen, 0 if chosen.report.selection.winner else 1)


def _train_each(runs: Sequence[PlannedRun], train: Train) -> Standings | None:
    """Train every run to its end, one after the other; None where it was interrupted."""
    for run in runs:
        if standing_of(run).action and not train(run):
            return None
    return Standings((), 1, ())


def _train(
    request: SolutionsRequest, run: PlannedRun, standing: Standing, console: SolutionsConsole, requests: StopRequests
) -> str:
    """Train one run to its end, or until a stop is asked for. Return what went wrong where its folder cannot say it."""
    while is_running(run.folder):  # by an earlier launcher that was killed, or by hand
        console.set_state(run.name, "trained by another process")
        if requests.pending() is not None or _slept(requests):
            return ""
    flags = {"resume": ("--resume",), "restart": ("--restart",)}.get(standing.action, ())
    overrides = (*request.all_overrides, *run.overrides)
    command = train_command(run.solution.path, run.name, overrides, flags=flags)
    earlier = _stop_time(run)
    process = TrainProcess(command, request.output_dir / _LAUNCHER / f"{run.name}.txt")
    console.set_state(run.name, "training")
    code = _follow(process, run.name, console, requests)
    if code == 0 or _stop_time(run) not in (None, earlier):
        return ""
    if run.folder.checkpoint_manifest.exists() and _stop_time(run) is None:
        write_killed(run.folder, TrainRequest(run.solution.path, run.name, overrides).command)
        return ""
    return _without_folder(code, process.last_words())


def _follow(process: TrainProcess, name: str, console: SolutionsConsole, requests: StopRequests) -> int:
    """Show its epochs until it ends; hand a request to stop on to it, once."""
    was_asked = False
    try:
        while (code := process.wait(_LOOK_EVERY_SECONDS)) is None:
            console.look(name)
            if requests.pending() is not None and not was_asked:
                was_asked = True
                console.set_state(name, "stopping after this step")
                process.ask_to_stop()
    except BaseException:  # a second Ctrl+C ends at once
        process.kill()
        raise
    console.look(name)
    return code


def _stop_time(run: PlannedRun) -> int | None:
    """When its stopping reason was written; None where there is none."""
    return run.folder.stop_record.stat().st_mtime_ns if run.folder.stop_record.exists() else None


def _slept(requests: StopRequests) -> bool:
    time.sleep(_LOOK_EVERY_SECONDS)
    return requests.pending() is not None


def _without_folder(code: int, words: str) -> str:
    how = f"killed by signal {-code}, as a system out of memory does" if code < 0 else f"exit code {code}"
    return f"The process ended without a written reason ({how}). It said: {words or 'nothing'}"


def _refuse_changed(request: SolutionsRequest, runs: Sequence[PlannedRun]) -> None:
    changed = {run.name: standing_of(run).changed for run in runs if standing_of(run).state == "changed"}
    if not changed or request.restart_changed:
        return
    listed = "\n".join(f"  {name}: {', '.join(keys)}" for name, keys in changed.items())
    raise UsageError(
        f"These runs in {request.output_dir} were begun with other values, so they are not what is asked for now:\n{listed}\n"
        "Give the same values again, use another --output-dir, or --restart-changed (the old runs are kept under another name)."
    )
