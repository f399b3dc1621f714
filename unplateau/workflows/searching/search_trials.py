"""The trials of a search in their run folders: how far each has come, and the job that trains the next part of one."""

from __future__ import annotations

from pathlib import Path

from unplateau.base.errors import ConfigError
from unplateau.base.process import last_words
from unplateau.config.delta import with_values
from unplateau.config.recipe import ALIKE
from unplateau.runs.layout import RunFolder
from unplateau.runs.reader import is_running, read_run, read_stop
from unplateau.runs.record import EpochRecord, StopReason
from unplateau.search.executors.contract import Job
from unplateau.search.halving import Step, scores
from unplateau.search.space import Point
from unplateau.search.suggest import Scored, suggest
from unplateau.search.trial import FAILED, FINISHED, PAUSED, RUNNING, WAITING, Standing, Trial
from unplateau.workflows.searching.search_setup import Search, name_of, suggested
from unplateau.workflows.training.train_process import train_command

MOST_ATTEMPTS = 3
"""Processes in a row that may die without finishing an epoch before a trial is given up."""
_DONE = ("completed", "no-improvement", "target-reached")
_ITS_OWN_FAULT = ("diverged", "out-of-memory", "preflight")
"""Codes with which a trial has failed. An `error` may be the machine's: it is tried again, MOST_ATTEMPTS times in a row."""
_DRAWS = 200
"""Suggestions that are asked for until one is new; the second half of them is random."""


def standing_of(search: Search, trial: Trial) -> Standing:
    """Return how far a trial has come, according to its folder."""
    folder = search.folder_of(trial)
    epochs = read_run(folder.path).epochs if folder.metrics.exists() else ()
    stop = read_stop(folder)
    state = _state(search, folder, stop, len(epochs))
    ended = stop.headline if stop is not None and state in (FINISHED, FAILED) else ""
    if state == WAITING and trial.attempts >= MOST_ATTEMPTS:
        words = stop.headline if stop is not None and stop.code == "error" else last_words(search.output_of(trial))
        state, ended = FAILED, f"its process failed {trial.attempts} times in a row; it said: {words or 'nothing'}"
    return Standing(trial, state, _curve(epochs), len(epochs), ended, sum(epoch.seconds for epoch in epochs))


def _state(search: Search, folder: RunFolder, stop: StopReason | None, epochs: int) -> str:
    if is_running(folder):
        return RUNNING
    if stop is not None and stop.code in _DONE:
        return FINISHED
    if stop is not None and stop.code in _ITS_OWN_FAULT:
        return FAILED
    return PAUSED if epochs in search.rungs.ends[:-1] else WAITING


def job_of(search: Search, trial: Trial, step: Step) -> Job:
    """Return the job that trains a trial until the end of a step."""
    folder = search.folder_of(trial)
    stop = "0" if step.until >= search.rungs.last else str(step.until)
    place = search.request.output_dir.as_posix()
    overrides = [*ALIKE, "OUTPUT_DIR", place, "VALIDATION.SCORE_TEST", "False", "SOLVER.STOP_EPOCH", stop]
    flags = ("--resume",) if folder.checkpoint_manifest.exists() else ()
    command = train_command(search.file_of(trial), trial.name, overrides, flags=flags)
    return Job(trial.name, tuple(command), search.output_of(trial).absolute(), Path.cwd())


def new_trial(search: Search, standings: list[Standing]) -> Trial | None:
    """Suggest a configuration that was not tried yet and add it; None where the space holds no more."""
    num_points = search.space.num_points
    in_space = sum(one.trial.point is not None for one in standings)
    if num_points is not None and in_space >= num_points:
        return None
    known = {one.trial.identity for one in standings}
    for draw in range(_DRAWS):
        point = suggest(
            search.space, *_learned(search, standings),
            sampler=search.request.sampler if draw < _DRAWS // 2 else "random",
            seed=search.request.seed, draw=len(standings) * _DRAWS + draw,
        )  # fmt: skip
        trial = _unless_known(search, point, known)
        if trial is not None:
            return trial
    return None


def _unless_known(search: Search, point: dict[str, float | int | str], known: set[str]) -> Trial | None:
    """Add a point as a trial, unless it was tried, or its values do not go together."""
    try:
        config = with_values(search.base, search.space.changes(point))
    except ConfigError:
        return None
    return None if name_of(config) in known else suggested(search, point)


def _learned(search: Search, standings: list[Standing]) -> tuple[list[Scored], list[Point]]:
    """What a sampler is told: comparable scores, and the points that have none yet."""
    scored = scores(standings, search.rungs, enough=len(search.space.parameters) + 1)
    told = [Scored(one.trial.point, score) for one, score in scored if one.trial.point is not None]
    counted = {one.number for one, _ in scored}
    running = [one for one in standings if one.state in (RUNNING, WAITING) and one.number not in counted]
    return told, [one.trial.point for one in running if one.trial.point is not None]


def _curve(epochs: tuple[EpochRecord, ...]) -> tuple[tuple[int, float], ...]:
    return tuple((record.epoch, record.validation.mAP) for record in epochs if record.validation is not None)
