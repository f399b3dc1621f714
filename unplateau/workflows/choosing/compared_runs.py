"""What there is to compare below a folder: run folders of ours, and results files of other trainers, grouped into recipes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unplateau.base.errors import ConfigError, DataNotFoundError
from unplateau.base.files import read_json
from unplateau.config.delta import with_values
from unplateau.config.load import load
from unplateau.config.recipe import recipe_of
from unplateau.config.schema import Config
from unplateau.report.solutions_content import TriedSolution
from unplateau.report.solutions_rounds import was_dropped
from unplateau.runs.layout import RunFolder
from unplateau.runs.reader import find_runs, is_running, read_run, read_stop
from unplateau.runs.results_file import SUFFIXES, ScoredRun, looks_like_results, read_results
from unplateau.selection.statistics import ValidationCurve
from unplateau.solutions.asked_for import CONTROL
from unplateau.workflows.solving.choose_solution import RECORD, curve_of
from unplateau.workflows.training.request import TrainRequest

CONFIRMED = "confirmed"
"""Folder of the runs that `--seeds` trains, below the folder that is compared."""
SEED_AT_END = re.compile(r"[_.-]*seed[_.-]?\d+$", re.IGNORECASE)
_WHOLE = ("completed", "no-improvement", "target-reached")
_REPLACED = re.compile(r"_before\d+$")  # what --restart leaves of an earlier run, beside the new one


@dataclass(frozen=True)
class Found:
    """One run, whoever trained it."""

    told: TriedSolution
    curve: ValidationCurve | None
    """None where nothing was validated, or no model is left to use."""
    recipe: str
    seed: int
    is_fresh: bool = False
    """Trained by `--seeds`, after its recipe was chosen."""


@dataclass(frozen=True)
class Compared:
    """All runs, and what is left out of the statistics and why."""

    runs: tuple[Found, ...]
    candidates: tuple[str, ...] = ()
    """Recipes that have fresh seeds; empty where none has."""
    notes: tuple[str, ...] = ()

    @property
    def counted(self) -> tuple[Found, ...]:
        """Runs that speak for their recipe: whole ones, of a candidate only the fresh ones, and of equal seeds one.

        Where fresh seeds are there of one recipe only, they decide nothing, and the runs that chose it are compared.
        """
        whole = [run for run in self.runs if run.curve is not None and not self.is_cut_short(run)]
        fresh = [run for run in whole if run.is_fresh == (run.recipe in self.candidates)]
        return tuple({(run.recipe, run.seed): run for run in reversed(fresh)}.values())[::-1]

    @property
    def dropped(self) -> dict[str, int]:
        """Recipes with runs that halving dropped, and after which epoch: they are compared up to there."""
        return {run.recipe: run.told.stop.epochs_trained for run in self.counted if run.told.stop and was_dropped(run.told.stop)}

    def is_cut_short(self, run: Found) -> bool:
        """Whether a run was stopped as asked, such as a pruned trial, where others were trained longer: that compares nothing."""
        stops = [other.told.stop for other in self.runs if other.told.stop is not None]
        longest = max((stop.epochs_trained for stop in stops if stop.code in _WHOLE), default=0)
        stop = run.told.stop
        return stop is not None and stop.code == "paused" and not was_dropped(stop) and stop.epochs_trained < longest

    @property
    def control(self) -> str | None:
        return next((run.recipe for run in self.runs if run.told.is_control), None)


def find_compared(folder: Path) -> Compared:
    """Return what can be compared below `folder`.

    Raises:
        DataNotFoundError: there is neither a run nor a results file.
        DataError: a results file has a mistake.
    """
    runs = [*_own_runs(folder), *_scored_runs(folder)]
    if not runs:
        raise DataNotFoundError(
            f"{folder} holds no run and no results to compare. Expected: run folders of this trainer, at any depth, or files of "
            "average precision or mAP of other trainers (docs/selection.md). --output-dir FOLDER names the place."
        )
    candidates = tuple(dict.fromkeys(run.recipe for run in runs if run.is_fresh and run.curve is not None))
    compared = Compared(tuple(runs), candidates if len(candidates) > 1 else ())
    return replace(compared, notes=tuple(_notes(compared)))


def _own_runs(folder: Path) -> list[Found]:
    places = sorted((one for one in find_runs(folder) if not _is_replaced(one)), key=lambda one: one.path)
    configs = {place.path: _config(place) for place in places}
    names = {place.path: place.path.relative_to(folder).as_posix() if place.path != folder else place.name for place in places}
    recipes = _recipe_names({names[path]: recipe_of(config) for path, (config, _) in configs.items() if config is not None})
    told = _told_before(folder)
    return [
        _own(place, names[place.path], configs[place.path], recipe=recipes.get(names[place.path], ""), told=told, root=folder)
        for place in places
    ]


def _is_replaced(folder: RunFolder) -> bool:
    new = folder.path.with_name(_REPLACED.sub("", folder.name))
    return new != folder.path and RunFolder(new).config.exists()


def _config(folder: RunFolder) -> tuple[Config | None, str]:
    try:
        config = load(folder.config).config
        if was_dropped(read_stop(folder)):  # where its slice ended is not its recipe's
            config = with_values(config, {"SOLVER.STOP_EPOCH": 0})
        return config, ""
    except ConfigError as problem:
        return None, f"its configuration cannot be read: {next(iter(str(problem).splitlines()), '')}"


def _own(
    place: RunFolder, name: str, read: tuple[Config | None, str], *, recipe: str, told: Mapping[str, Any], root: Path
) -> Found:
    config, problem = read
    run = read_run(place.path)
    before = told.get(name, {})
    one = TriedSolution(
        name=name, config_file=place.config, folder=place, config=config,
        is_control=bool(before.get("is_control", place.name == CONTROL)),
        hypothesis=before.get("hypothesis", ""), expected=before.get("expected", ""), epochs=run.epochs, stop=run.stop,
        problem=problem or ("it is still being trained" if is_running(place) else ""),
        command=TrainRequest(place.config, place.name, ("OUTPUT_DIR", place.path.parent.as_posix())).command,
    )  # fmt: skip
    curve = curve_of(one) if config is not None else None
    scored = next((epoch.validation for epoch in run.epochs if epoch.validation is not None), None)
    if curve is not None and scored is not None:
        curve = replace(curve, asked=f"{scored.protocol} {scored.dataset}")
    is_fresh = CONFIRMED in place.path.relative_to(root).parts[:-1]
    return Found(one, curve, recipe or name, config.SEED if config is not None else 0, is_fresh)


def _recipe_names(recipes: Mapping[str, str]) -> dict[str, str]:
    """Return run -> recipe in words: what its runs' names have in common before the seed, else the first run's name."""
    by_key: dict[str, list[str]] = {}
    for run, key in recipes.items():
        by_key.setdefault(key, []).append(run)
    named: dict[str, str] = {}
    for key, runs in by_key.items():
        first = min(runs, key=lambda run: (run.startswith(f"{CONFIRMED}/"), len(run), run))
        wanted = SEED_AT_END.sub("", first) if len(runs) > 1 else first
        name = wanted if wanted and wanted not in named.values() else f"{first} ({key})"
        named |= dict.fromkeys(runs, name)
    return named


def _told_before(folder: Path) -> Mapping[str, Any]:
    """What an earlier selection of this folder kept of its runs: hypotheses, and which is the control."""
    try:
        runs = read_json(folder / RECORD)["runs"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return runs if isinstance(runs, dict) else {}


def _scored_runs(folder: Path) -> list[Found]:
    files = sorted(file for suffix in SUFFIXES for file in folder.rglob(f"*{suffix}") if not _is_of_a_run(file, folder))
    return [_scored(run) for file in files if looks_like_results(file) for run in read_results(file)]


def _is_of_a_run(file: Path, root: Path) -> bool:
    inside = [parent for parent in file.parents if parent == root or root in parent.parents]
    return any(RunFolder(parent).config.exists() or RunFolder(parent).metrics.exists() for parent in inside)


def _scored(run: ScoredRun) -> Found:
    name = f"{run.system}_seed{run.seed}"
    persons_Q = run.person_ids_Q if run.person_ids_Q is not None else np.zeros(1, dtype=np.int64)
    kind = "mAP alone" if run.person_ids_Q is None else ""
    curve = ValidationCurve(
        name, np.array([0]), run.average_precision_Q[None], persons_Q, f"{run.protocol} {run.dataset} {kind}".strip()
    )
    told = TriedSolution(
        name=name, config_file=run.source, folder=RunFolder(run.source), config=None, foreign_protocol=run.protocol
    )
    return Found(told, curve, run.system, run.seed)


def _notes(compared: Compared) -> list[str]:
    counted = {run.told.name for run in compared.counted}
    notes = []
    for run in compared.runs:
        if run.curve is None or run.told.name in counted or compared.is_cut_short(run):
            continue
        if run.recipe in compared.candidates and not run.is_fresh:
            notes.append(f"{run.told.name} helped to choose what was trained again, so it does not count for its recipe.")
        elif run.is_fresh and run.recipe not in compared.candidates:
            notes.append(f"{run.told.name} does not count: no other recipe has a fresh seed to compare it with.")
        else:
            notes.append(f"{run.told.name} is {run.recipe} with a seed that is there already ({run.seed}), so it counts once.")
    dropped = [run.told.name for run in compared.runs if run.told.name in counted and was_dropped(run.told.stop)]
    if dropped:
        notes.append(f"Dropped by halving, so compared with others as both were at that epoch: {_listed(dropped)}.")
    short = [run.told.name for run in compared.runs if run.curve is not None and compared.is_cut_short(run)]
    if short:
        notes.append(f"Stopped as asked, or pruned, before others had ended, so listed and not compared: {_listed(short)}.")
    unfinished = [
        run.told.name
        for run in compared.runs
        if run.told.name in counted and run.told.name not in dropped and _is_unfinished(run.told)
    ]
    if unfinished:
        notes.append(f"Not trained to the end, and compared by what they have: {_listed(unfinished)}.")
    return notes


def _is_unfinished(run: TriedSolution) -> bool:
    return run.config is not None and (
        run.stop is None or run.stop.code in ("interrupted", "preempted", "time-budget", "killed", "paused", "disk-full")
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
