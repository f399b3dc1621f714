"""Bursts: from a run's latest checkpoint each solution and an unchanged control train a few steps on the same images.

All get the same number of images, so a remedy that wins only by training longer does not win. A burst sees short-term effects:
a rate that was lowered shows its gain at once, one that was raised may pay later. The run folder is read, not written.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unplateau.base.errors import CheckpointError, ConfigError, UsageError
from unplateau.config.delta import with_values
from unplateau.config.load import load
from unplateau.config.schema import Config
from unplateau.engine.burst import BurstRun, batches_from, first_images, run_burst
from unplateau.engine.checkpoint import has_checkpoint, load_checkpoint
from unplateau.engine.precision import choose_device
from unplateau.engine.ranks import Ranks, join_ranks
from unplateau.engine.stopping import Progress, take_drop
from unplateau.optim.schedules import Schedule
from unplateau.runs.layout import RunFolder
from unplateau.runs.record import Solution
from unplateau.selection.compare import compare
from unplateau.selection.statistics import Difference
from unplateau.solutions.bursts import (
    BurstCurve,
    BurstResult,
    Interval,
    comparable_terms,
    paired_terms,
    rerank,
    sees_same_images,
    starts_elsewhere,
)
from unplateau.workflows.training.journal import person_ids_of
from unplateau.workflows.training.session import DataPlan, Session, build_session, plan_data

NUM_STEPS = 80
_CONTROL = "control"
_SPENT = 0.01  # of the peak rate


@dataclass(frozen=True)
class _Bench:
    """What all bursts of one run share."""

    config: Config
    content: dict[str, Any]
    """The checkpoint."""
    plan: DataPlan
    device: torch.device
    ranks: Ranks
    control: Session
    num_images: int


@dataclass(frozen=True)
class _Trial:
    """One configuration's burst."""

    run: BurstRun
    images_per_step: int
    note: str


def run_bursts(
    run_folder: Path, solutions: Sequence[Solution], *, num_steps: int = NUM_STEPS, say: Callable[[str], None] = print
) -> tuple[BurstResult, ...]:
    """Try solutions in bursts and return them re-ranked.

    Args:
        run_folder: a run of ours with a checkpoint.
        solutions: changes of that run's configuration, in the order of expected gain.
        num_steps: steps of the control; every solution gets as many images.
        say: takes a line after each burst.

    Raises:
        UsageError: the run has no checkpoint, or no longer has its data.
        CheckpointError: the checkpoint does not fit the run's own configuration.
    """
    bench = _set_up(RunFolder(run_folder), num_steps)
    before = bench.control.parts.validate(bench.control.parts.scored_model) if bench.control.parts.validate else None
    control = _burst(bench, bench.control, {}, "")
    for note in _spent(bench):
        say(note)
    say(f"burst of the control: {control.run.num_images} images in {len(_first_term(control.run))} steps")
    trials: dict[str, _Trial] = {}
    results = []
    for solution in solutions:
        trial, why_not = _try(bench, solution)
        if trial is not None:
            trials[solution.name] = trial
        say(f"burst of {solution.name}: {why_not or _brief(trial)}")
        results.append(_result(solution, trial, control, why_not))
    gains = _gains(bench, control, trials)
    start = None if before is None else before.metrics.mAP
    return rerank([_with_map(result, trials, control, gains, start) for result in results])


def _set_up(folder: RunFolder, num_steps: int) -> _Bench:
    if not has_checkpoint(folder):
        raise UsageError(f"--bursts needs a run with a checkpoint; {folder.path} has none. Train at least one epoch first.")
    config, content = load(folder.config).config, load_checkpoint(folder)
    plan = plan_data(config)
    if content["identity"].get("data") != plan.fingerprint:
        raise UsageError(f"--bursts: the data are not those {folder.path} was trained on. Give it the same data (DATASETS.ROOT).")
    device = choose_device(config)
    ranks = join_ranks(device.type)
    session = build_session(_without_pretraining(config), plan, device=device, ranks=ranks)
    note = _restore(session, content, {})
    if note:
        raise CheckpointError(f"{folder.path}: the checkpoint does not fit its own configuration: {note}.")
    return _Bench(config, content, plan, device, ranks, session, num_steps * config.SOLVER.IMS_PER_BATCH)


def _try(bench: _Bench, solution: Solution) -> tuple[_Trial | None, str]:
    """Burst one solution; a second value says why it was not possible."""
    if not solution.delta:
        return None, "nothing is changed, so it is the control"
    if starts_elsewhere(solution.delta):
        return None, "it changes the network or where training starts from, which a burst from a checkpoint cannot try"
    try:
        config = with_values(_without_pretraining(bench.config), solution.delta)
        session = build_session(config, bench.plan, device=bench.device, ranks=bench.ranks)
    except ConfigError as problem:
        return None, problem.problems[0]
    note = _restore(session, bench.content, solution.delta)
    try:
        return _burst(bench, session, solution.delta, note), ""
    except (torch.OutOfMemoryError, MemoryError) as problem:
        return None, f"out of memory ({next(iter(str(problem).splitlines()), '')})"


def _burst(bench: _Bench, session: Session, delta: dict[str, Any], note: str) -> _Trial:
    size, epoch = session.parts.config.SOLVER.IMS_PER_BATCH, int(bench.content["epoch"])
    loader = bench.control.parts.train_loader if sees_same_images(delta) else session.parts.train_loader
    if not sees_same_images(delta):
        note = "; ".join(part for part in (note, "its images are drawn or prepared otherwise, so losses are not paired") if part)
    batches = first_images(batches_from(loader, epoch + 1), bench.num_images, batch_size=size)
    first_step = epoch * session.parts.train_loader.steps_per_epoch
    schedule = _schedule(bench, session, delta)
    return _Trial(run_burst(session.parts, schedule, batches, first_step=first_step), size, note)


def _schedule(bench: _Bench, session: Session, delta: dict[str, Any]) -> Schedule:
    """The configuration's own rates; drops taken early stay taken, and "take the next drop now" takes it."""
    schedule, progress = session.schedule, bench.content["progress"]
    is_same = schedule.steps_per_epoch == bench.control.schedule.steps_per_epoch and not any(
        key in ("SOLVER.SCHED", "SOLVER.STEPS") for key in delta
    )
    if is_same:
        schedule = schedule.restore(bench.content["schedule"])
    if delta.get("SOLVER.ON_PLATEAU") == "drop":
        schedule = take_drop(Progress(schedule, epoch=int(progress["epoch"]), step=int(progress["step"]))).schedule
    return schedule


def _spent(bench: _Bench) -> list[str]:
    """Say where the run's rate is used up: a burst from there hardly moves anything, whatever it multiplies."""
    schedule = _schedule(bench, bench.control, {})
    rate = schedule.rate_at(int(bench.content["epoch"]) * schedule.steps_per_epoch)
    if rate > _SPENT * schedule.peak_rate:
        return []
    return [
        f"note: the run is at the end of its schedule (rate {rate:.2g}, peak {schedule.peak_rate:.2g}), so a solution that "
        "scales the rate scales next to nothing in its burst. Bursts tell more from a run that is stopped earlier."
    ]


def _restore(session: Session, content: dict[str, Any], delta: dict[str, Any]) -> str:
    """Put the checkpoint's state into a session as far as it fits; return what did not."""
    parts, notes = session.parts, []
    own = parts.model.state_dict()
    fitting = {name: value for name, value in content["model"].items() if name in own and own[name].shape == value.shape}
    parts.model.load_state_dict(fitting, strict=False)
    fresh = [name for name in own if name not in fitting]
    if fresh:
        notes.append(f"{len(fresh)} tensors start anew ({fresh[0]}, ...)")
    if parts.average is not None and content["average"] is not None and not fresh:
        parts.average.load_state_dict(content["average"])
    try:
        parts.losses.load_state_dict(content["losses"])
    except RuntimeError:
        notes.append("the losses' own state starts anew")
    if not _restored_optimizers(session, content, delta, has_fresh=bool(fresh)):
        notes.append("the optimiser's state starts anew")
    return "; ".join(notes)


def _restored_optimizers(session: Session, content: dict[str, Any], delta: dict[str, Any], *, has_fresh: bool) -> bool:
    """Load the optimisers' state; their settings, such as weight decay, stay the configuration's own."""
    if has_fresh or "SOLVER.OPT" in delta or len(session.parts.optimizers) != len(content["optimizers"]):
        return False
    for optimizer, stored in zip(session.parts.optimizers, content["optimizers"], strict=True):
        settings = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
        try:
            optimizer.load_state_dict(copy.deepcopy(stored))  # torch keeps the very tensors it is given, and steps change them
        except ValueError:  # other groups, as after unfreezing
            return False
        for group, own in zip(optimizer.param_groups, settings, strict=True):
            group.update(own)
    return True


def _without_pretraining(config: Config) -> Config:
    """Weights come from the checkpoint: do not read those of the backbone first."""
    return with_values(config, {"MODEL.BACKBONE.PRETRAIN": False, "MODEL.WEIGHTS": ""})


def _result(solution: Solution, trial: _Trial | None, control: _Trial, why_not: str) -> BurstResult:
    if trial is None:
        return BurstResult(solution.name, was_tried=False, note=why_not)
    names = comparable_terms(solution.delta, control.run.terms)
    pairs = [BurstCurve(one.images_per_step, one.run.terms) for one in (control, trial)]
    note = trial.note if trial.run.diverged_at is None else f"diverged after {len(_first_term(trial.run))} steps"
    return BurstResult(
        solution.name, was_tried=True, note=note, num_images=trial.run.num_images, num_steps=len(_first_term(trial.run)),
        terms=paired_terms(pairs[0], pairs[1], names), diverged=trial.run.diverged_at is not None,
    )  # fmt: skip


def _gains(bench: _Bench, control: _Trial, trials: dict[str, _Trial]) -> dict[str, Difference]:
    """Held-out mAP after the burst, each solution against the control, on the same identities."""
    scored = {name: trial.run.after for name, trial in trials.items() if trial.run.after is not None}
    if control.run.after is None or not scored:
        return {}
    values = {name: np.asarray(after.average_precision_Q, dtype=float) for name, after in scored.items()}
    values[_CONTROL] = np.asarray(control.run.after.average_precision_Q, dtype=float)
    persons_Q = person_ids_of(bench.plan.validation, control.run.after)
    differences = compare(values, persons_Q, [(name, _CONTROL) for name in scored], seed=bench.config.SEED)
    return {difference.first: difference for difference in differences}


def _with_map(
    result: BurstResult, trials: dict[str, _Trial], control: _Trial, gains: dict[str, Difference], before: float | None
) -> BurstResult:
    difference = gains.get(result.name)
    after = trials[result.name].run.after if result.name in trials else None
    if difference is None or after is None or control.run.after is None:
        return result
    estimate = difference.estimate
    return replace(
        result, map_before=before, map_after=after.metrics.mAP, control_map_after=control.run.after.metrics.mAP,
        map_gain=Interval(estimate.value, estimate.low, estimate.high), p_adjusted=difference.p_adjusted,
    )  # fmt: skip


def _brief(trial: _Trial | None) -> str:
    assert trial is not None  # where there is none the reason is said
    after = f", held-out mAP {trial.run.after.metrics.mAP:.2%}" if trial.run.after is not None else ""
    return f"{trial.run.num_images} images in {len(_first_term(trial.run))} steps{after}"


def _first_term(run: BurstRun) -> tuple[float, ...]:
    return next(iter(run.terms.values()), ())
