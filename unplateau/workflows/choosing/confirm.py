"""`--seeds k`: train the best recipes again with fresh seeds, each run a process of our own train command, resumable.

The seeds that chose the recipes are not counted afterwards: the best of many is partly the luckiest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unplateau.base.errors import RecordError, UsageError
from unplateau.base.files import read_json, write_json
from unplateau.base.locks import FileLock
from unplateau.config.recipe import ALIKE
from unplateau.engine.requests import StopRequests
from unplateau.report.solutions_content import SolutionsReport, TriedSolution
from unplateau.report.solutions_rounds import was_dropped
from unplateau.runs.layout import RunFolder, run_folder
from unplateau.runs.reader import is_running, read_stop
from unplateau.workflows.choosing.compared_runs import CONFIRMED, SEED_AT_END
from unplateau.workflows.choosing.select_request import SelectRequest
from unplateau.workflows.training.train_process import TrainProcess, train_command

PLAN = "confirmation.json"
_MOST = 4  # recipes, where their number is not given
_LOOK_EVERY_SECONDS = 0.5
_DONE = ("completed", "no-improvement", "target-reached", "diverged")


@dataclass(frozen=True)
class _Repeat:
    """One run to make: a recipe and a seed."""

    recipe: str
    config_file: Path
    seed: int
    folder: RunFolder


def confirm(request: SelectRequest, report: SolutionsReport) -> bool:
    """Train what is missing; return False where it was interrupted.

    Raises:
        UsageError: there are no two recipes of ours to train, or another process is at it.
        RecordError: which recipes were chosen before cannot be read.
    """
    lock = FileLock(request.output_dir / CONFIRMED / ".lock")
    if not lock.acquire():
        raise UsageError(f"Another process trains fresh seeds in {request.output_dir / CONFIRMED}. Wait for it.")
    say: Callable[[str], None] = (lambda line: None) if request.is_quiet else print
    try:
        return _train_all(_repeats(request, _plan(request, report, say)), request, say)
    finally:
        lock.release()


def _plan(request: SelectRequest, report: SolutionsReport, say: Callable[[str], None]) -> dict[str, Any]:
    """Which recipes, and the first fresh seed: chosen once and kept, so that going on does not choose anew."""
    path = request.output_dir / PLAN
    if path.exists():
        plan = _known_plan(path)
        say(f"Going on with what {path} names: {', '.join(plan['recipes'])}.")
        return plan
    if request.top == 1:
        raise UsageError("--top 1 leaves nothing to decide between. Give 2 or more, or leave it out.")
    chosen = _chosen(report, request.top)
    if len(chosen) < 2:
        raise UsageError(
            f"--seeds needs two recipes of this trainer below {request.output_dir} to decide between; there is "
            f"{'one' if chosen else 'none'}. Seeds of a single recipe: python train_research_grade.py --seeds {request.seeds}."
        )
    seeds = [run.config.SEED for run in report.tried if run.config is not None]
    recipes = {report.recipes.get(run.name, run.name): run.folder.config.as_posix() for run in chosen}
    plan = {"recipes": recipes, "first_seed": max(seeds) + 1}
    write_json(path, plan)
    return plan


def _known_plan(path: Path) -> dict[str, Any]:
    try:
        plan = read_json(path)
        return {"recipes": dict(plan["recipes"]), "first_seed": int(plan["first_seed"])}
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise RecordError(
            f"{path} cannot be read ({type(problem).__name__}), so it is not known which recipes to train again. Delete it to "
            "choose anew; runs in that folder that are finished stay."
        ) from problem


def _chosen(report: SolutionsReport, top: int) -> list[TriedSolution]:
    selection = report.selection
    if selection.winner is None:
        return []
    number = top or min(_MOST, max(2, 1 + len(selection.undecided)))
    by_name = {run.name: run for run in report.tried}
    ours = [by_name[one.best_run] for one in (selection.winner, *selection.rivals) if by_name[one.best_run].config is not None]
    return ours[:number]


def _repeats(request: SelectRequest, plan: dict[str, Any]) -> list[_Repeat]:
    """Seed by seed, so that a comparison is possible as soon as two seeds of each are there."""
    place, first = request.output_dir / CONFIRMED, int(plan["first_seed"])
    folders = _as_folders(list(plan["recipes"]))
    return [
        _Repeat(name, Path(config), seed, run_folder(place, f"{folders[name]}_seed{seed}"))
        for seed in range(first, first + request.seeds)
        for name, config in plan["recipes"].items()
    ]


def _as_folders(names: Sequence[str]) -> dict[str, str]:
    """Return recipe -> what its folders' names begin with: without the seed that chose it, where they still differ then."""
    plain = {name: re.sub(r"[^\w.+=-]+", "_", name).strip("._") or "recipe" for name in names}
    short = {name: SEED_AT_END.sub("", folder) for name, folder in plain.items()}
    return short if len({*short.values(), ""}) == len(names) + 1 else plain


def _train_all(repeats: Sequence[_Repeat], request: SelectRequest, say: Callable[[str], None]) -> bool:
    with StopRequests() as requests:
        for number, repeat in enumerate(repeats, 1):
            stop = read_stop(repeat.folder)
            if is_running(repeat.folder) or (stop is not None and stop.code in _DONE):
                continue
            say(f"Seed {repeat.seed} of {repeat.recipe} ({number} of {len(repeats)}) ...")
            problem = _train(repeat, request, requests)
            if requests.pending() is not None:
                say(f"Stopped; what is finished is kept. Go on with:  {request.command} --seeds {request.seeds}")
                return False
            if problem:
                say(f"  failed: {problem}")
    return True


def _train(repeat: _Repeat, request: SelectRequest, requests: StopRequests) -> str:
    """Train one run to its end, or until a stop is asked for; return what went wrong."""
    place = (request.output_dir / CONFIRMED).as_posix()
    overrides = [*ALIKE, "SEED", str(repeat.seed), "OUTPUT_DIR", place, "VALIDATION.SCORE_TEST", "False"]
    if was_dropped(read_stop(RunFolder(repeat.config_file.parent))):  # its slice ended early; fresh seeds are trained to the end
        overrides += ["SOLVER.STOP_EPOCH", "0"]
    flags = ("--resume",) if repeat.folder.checkpoint_manifest.exists() else ()
    command = train_command(repeat.config_file, repeat.folder.name, overrides, flags=flags)
    process = TrainProcess(command, request.output_dir / CONFIRMED / "launcher" / f"{repeat.folder.name}.txt")
    was_asked = False
    try:
        while (code := process.wait(_LOOK_EVERY_SECONDS)) is None:
            if requests.pending() is not None and not was_asked:
                was_asked = True
                process.ask_to_stop()
    except BaseException:  # a second Ctrl+C ends at once
        process.kill()
        raise
    stop = read_stop(repeat.folder)
    if code == 0 or was_asked:
        return ""
    return stop.headline if stop is not None else f"exit code {code}. It said: {process.last_words() or 'nothing'}"
