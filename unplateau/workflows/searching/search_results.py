"""The end of a search: the selection, the comparison, what decides, the winner as a configuration file."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from unplateau.base.files import write_json, write_text
from unplateau.base.randomness import stream_seed
from unplateau.config.delta import difference, to_delta_yaml
from unplateau.config.load import load
from unplateau.config.recipe import HARMLESS_KEYS
from unplateau.report.search_content import Importance, SearchReport
from unplateau.report.search_text import comparison_text
from unplateau.report.solutions_content import SEARCH, SolutionsReport, TriedSolution
from unplateau.runs.reader import read_run, read_stop
from unplateau.search.suggest import Scored, importances
from unplateau.search.trial import BASE, FAILED, FINISHED, PAUSED, SOLUTION, Standing
from unplateau.solutions.asked_for import ASKED_FOR
from unplateau.workflows.searching.search_setup import Search
from unplateau.workflows.solving.choose_solution import Chosen, choose_among, report_on
from unplateau.workflows.training.request import TrainRequest

COMPARISON, RECORD, WINNER = "COMPARISON.txt", "search.json", "winner.yml"
_FEWEST_COMPARED = 12  # trials below which shares are noise
_RESAMPLED = 100
_SCHEMA = 1


def conclude(search: Search, standings: Sequence[Standing], seconds: float, say: Callable[[str], None]) -> Chosen:
    """Choose among the trials, write all of it, then score the winner once on the test set."""
    tried = tuple(_tried(search, one) for one in _comparable(standings))
    base = next(one.trial.name for one in standings if one.trial.origin == BASE)
    chosen_among = report_on(tried, search.request.output_dir, control=base, notes=(*_about_shorter(standings), *search.notes))
    report = replace(chosen_among, kind=SEARCH)
    _write(search, standings, report, seconds)
    chosen = choose_among(report, search.request.output_dir, score_test=search.request.score_test, say=say)
    for name in (COMPARISON, WINNER) if report.winner is not None else (COMPARISON,):
        say(f"{'Its configuration' if name == WINNER else 'All trials'}: {search.request.output_dir / name}")
    return chosen


def _comparable(standings: Sequence[Standing]) -> list[Standing]:
    """Trials that were trained to the end: one epoch of one says nothing against all epochs of another."""
    finished = [one for one in standings if one.state in (FINISHED, FAILED)]
    return finished if any(one.state == FINISHED for one in standings) else list(standings)


def _about_shorter(standings: Sequence[Standing]) -> tuple[str, ...]:
    shorter = [one for one in standings if one.state not in (FINISHED, FAILED)]
    if not shorter or len(shorter) == len(standings):
        return ()
    pruned = sum(one.state == PAUSED for one in shorter)
    why = (
        f"{pruned} stopped where trials are compared after the same epochs, and others went on in their place, which is weaker "
        "evidence than a whole training"
    )
    if pruned < len(shorter):
        why += f"; {len(shorter) - pruned} were cut off, or never begun, when the budget was used up"
    solutions = [one.trial.name for one in shorter if one.trial.origin == SOLUTION]
    which = f", among them {', '.join(solutions)}" if solutions else ""
    return (
        f"{len(shorter)} of {len(standings)} trials were not trained to the end{which}: {why}. They are not compared here. "
        f"All trials: {COMPARISON}.",
    )


def _tried(search: Search, one: Standing) -> TriedSolution:
    trial, config, folder = one.trial, search.config_of(one.trial), search.folder_of(one.trial)
    asked = next((asked for asked in ASKED_FOR if trial.name.endswith(asked.name)), None)
    return TriedSolution(
        name=trial.name,
        config_file=search.file_of(trial),
        folder=folder,
        config=config,
        changes=difference(search.base, config),
        is_control=trial.origin == BASE,
        hypothesis=asked.hypothesis if asked is not None else "",
        expected=asked.expected if asked is not None else "",
        epochs=read_run(folder.path).epochs if folder.metrics.exists() else (),
        stop=read_stop(folder),
        problem=one.ended if one.state == FAILED else "",
        command=TrainRequest(search.file_of(trial), trial.name, ("OUTPUT_DIR", search.request.output_dir.as_posix())).command,
    )


def _write(search: Search, standings: Sequence[Standing], report: SolutionsReport, seconds: float) -> None:
    folder = search.request.output_dir
    content = _content(search, standings, report, seconds)
    write_text(folder / COMPARISON, comparison_text(content))
    write_json(folder / RECORD, _plain(search, content))
    if report.winner is not None:
        write_text(folder / WINNER, _winner_yaml(search, report))


def _content(search: Search, standings: Sequence[Standing], report: SolutionsReport, seconds: float) -> SearchReport:
    ranked = report.selection.ranked
    shares, epoch, num_compared = _importances(search, standings)
    return SearchReport(
        trials=tuple(standings),
        estimates={run.name: run.best_map for run in ranked},
        best_epochs={run.name: run.epoch for run in ranked},
        winner=report.winner.name if report.winner is not None else "",
        rung_ends=search.rungs.ends,
        importances=shares,
        importance_epoch=epoch,
        num_compared=num_compared,
        sampler=search.request.sampler,
        seconds=seconds,
    )


def _importances(search: Search, standings: Sequence[Standing]) -> tuple[tuple[Importance, ...], int, int]:
    """Of the scores at the first rung's end, which nearly all trials have; with percentiles over resampled trials."""
    epoch = search.rungs.ends[0]
    scored = [
        Scored(one.trial.point, one.best_by(epoch) or 0.0)
        for one in standings
        if one.trial.point is not None and one.has_reached(epoch)
    ]
    if len(scored) < _FEWEST_COMPARED or len({one.score for one in scored}) < 2:
        return (), epoch, len(scored)
    shares = importances(search.space, scored)
    rng = np.random.default_rng(stream_seed(search.request.seed, "importances"))
    resampled = [
        importances(search.space, [scored[row] for row in rng.integers(len(scored), size=len(scored))]) for _ in range(_RESAMPLED)
    ]
    found = [
        Importance(name, share, *np.percentile([one.get(name, 0.0) for one in resampled], (2.5, 97.5)).tolist())
        for name, share in shares.items()
    ]
    return tuple(found), epoch, len(scored)


def _winner_yaml(search: Search, report: SolutionsReport) -> str:
    """The winner as a change of the base configuration's file, overrides of the command line included."""
    winner = report.winner
    assert winner is not None and winner.config is not None  # the caller looked
    changes = difference(load(search.request.base_config).config, winner.config)
    values = {key: new for key, (_, new) in changes.items() if key not in HARMLESS_KEYS or key == "DATASETS.ROOT"}
    base = _relative(search.request.base_config, search.request.output_dir)
    header = [
        f"{winner.name}, the winner of the search from {search.request.base_config.name}.",
        f"How sure that is: BEST_MODEL_SELECTION.txt. Its model: {winner.folder.best_model.as_posix()}",
        "Train it: python train_research_grade.py --config-file THIS_FILE --run-name winner",
    ]
    return to_delta_yaml(values, base=base, header=header)


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive on Windows
        return path.resolve().as_posix()


def _plain(search: Search, content: SearchReport) -> dict[str, Any]:
    request = search.request
    return {
        "schema": _SCHEMA,
        "base_config": str(request.base_config),
        "overrides": list(request.overrides),
        "sampler": request.sampler,
        "sampler_seed": request.seed,
        "training_seed": search.base.SEED,
        "rungs": list(search.rungs.ends),
        "keep": search.rungs.keep,
        "budget": {"trials": request.trials_limit, "epochs": request.budget_epochs, "hours": request.hours},
        "spent": {
            "trials": len(content.trials),
            "epochs": sum(one.epochs for one in content.trials),
            "seconds": round(content.seconds, 1),
        },
        "space": [{"kind": type(part).__name__.lower(), **asdict(part)} for part in search.space.parameters],
        "trials": [_plain_trial(search, one, content) for one in content.trials],
        "importances": {
            "after_epochs": content.importance_epoch,
            "num_trials": content.num_compared,
            "method": "PED-ANOVA; low and high: 95 % of resampled sets of trials",
            "shares": [asdict(one) for one in content.importances],
        },
        "winner": content.winner or None,
    }  # fmt: skip


def _plain_trial(search: Search, one: Standing, content: SearchReport) -> dict[str, Any]:
    estimate = content.estimates.get(one.trial.name)
    return {
        "number": one.number,
        "name": one.trial.name,
        "folder": search.folder_of(one.trial).path.name,
        "origin": one.trial.origin,
        "point": dict(one.trial.point) if one.trial.point is not None else None,
        "changes": {key: list(pair) for key, pair in difference(search.base, search.config_of(one.trial)).items()},
        "state": one.state,
        "ended": one.ended,
        "epochs": one.epochs,
        "seconds": round(one.seconds, 1),
        "curve": [list(pair) for pair in one.curve],
        "best_map": one.best,
        "best_epoch": content.best_epochs.get(one.trial.name),
        "interval": [estimate.low, estimate.high] if estimate is not None and math.isfinite(estimate.high) else None,
    }
