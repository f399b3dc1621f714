"""Going on with a run: on the same data or not at all, where its checkpoint stands, and what changes with it.

Whether a run goes on: `start`. The state itself: `unplateau.engine.checkpoint`.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch

from unplateau.base.errors import UsageError
from unplateau.data.find import fingerprint
from unplateau.engine.checkpoint import restore
from unplateau.engine.embed_choice import ToEmbed, choose_embedding, embedding_by_rule, is_open
from unplateau.engine.precision import ways
from unplateau.engine.ranks import Ranks
from unplateau.engine.step_choice import choose_step
from unplateau.engine.step_rule import Unmeasured, obstacle_of, step_as_asked
from unplateau.engine.stopping import Progress, decide, take_drop
from unplateau.optim.schedules import Schedule
from unplateau.runs.embed_choice import EmbedChoice, read_embed_choice
from unplateau.runs.reader import read_run
from unplateau.runs.record import EpochRecord
from unplateau.runs.step_choice import StepChoice, StepWay, read_step_choice
from unplateau.workflows.training.disagreement import Change, differing
from unplateau.workflows.training.session import ChooseEmbedding, ChooseStep, DataPlan, Session, plan_data
from unplateau.workflows.training.start import Start

_log = logging.getLogger(__name__)
_KEYS_OF_THE_STEP = (
    "SOLVER.AMP.ENABLED", "SOLVER.AMP.DTYPE", "SOLVER.AMP.FROZEN_DTYPE", "SOLVER.CHANNELS_LAST", "DETERMINISTIC",
)  # fmt: skip
_KEY_OF_GRAPHS = "SOLVER.CUDA_GRAPH"  # changes neither format nor layout, nor how scores are computed
_A_RISE = 1.01  # new rate by old: less is rounding


def identity(plan: DataPlan, ranks: Ranks, device: str) -> dict[str, object]:
    """Return what must be the same when a run goes on: images trained on and validated on, processes, device, torch."""
    validation = fingerprint((*plan.validation.query, *plan.validation.gallery)) if plan.validation is not None else "none"
    return {
        "data": plan.fingerprint,
        "validation": validation,
        "world_size": ranks.world_size,
        "device": device,
        "torch": str(torch.__version__),
    }


def plan_to_go_on(start: Start, ranks: Ranks, device: str, *, allow_changes: bool) -> DataPlan | None:
    """Return the data of a run that goes on; None for a new one. What differs and was allowed is logged.

    Raises:
        UsageError: it is not what the run was begun with. Nothing of the run was touched.
    """
    if start.checkpoint is None:
        return None
    plan = plan_data(start.config)
    changes = differing(dict(start.checkpoint["identity"]), identity(plan, ranks, device))
    refused = [change for change in changes if change.is_refused and not (change.can_be_forced and allow_changes)]
    if refused:
        raise UsageError(_refusal(refused))
    for change in changes:
        _log.warning("Going on although %s.", change.words)
    return plan


def _refusal(refused: Sequence[Change]) -> str:
    words = "--resume: " + "; ".join(change.words for change in refused) + ". Results would silently change. "
    if all(change.can_be_forced for change in refused):
        return (
            words + "Go on as the run was begun, start under another --run-name, or force it with --allow-changes (it is logged)."
        )
    return words + "Give it the data it was begun with, or start under another --run-name; --allow-changes does not help here."


def way_to_choose(start: Start) -> ChooseStep:
    """Return how the step's number format and layout are decided: measured for a new run, as it began for one that goes on.

    Raises:
        CheckpointError: what is stored of it is damaged.
    """
    if start.checkpoint is None:
        return choose_step
    stored = read_step_choice(start.folder)
    is_asked_otherwise = any(key in start.changed for key in _KEYS_OF_THE_STEP)
    if stored is None or is_asked_otherwise:
        return step_as_asked
    return partial(_graphs_as_asked if _KEY_OF_GRAPHS in start.changed else _as_it_began, stored)


def _graphs_as_asked(stored: StepChoice, training: Unmeasured) -> StepChoice:
    """Return the stored choice with a graph or without, as it is asked for now. Raises as `step_as_asked` and `_as_it_began`."""
    way = replace(stored.way, is_graphed=step_as_asked(training).way.is_graphed)
    return _as_it_began(stored if way == stored.way else StepChoice(way, "set"), training)


def _as_it_began(stored: StepChoice, training: Unmeasured) -> StepChoice:
    """Return the stored choice. Raises UsageError where this machine does not compute so."""
    open_ways = ways(training.config, training.device, training.model)
    obstacle, has_singly = obstacle_of(training) if stored.way.is_graphed else "", stored.way.launched_singly in open_ways
    if has_singly and not obstacle:
        return stored
    here = obstacle if has_singly else f"{training.device}: {'; '.join(way.name for way in open_ways)}"
    keys = [open_ways[-1].keys] * (not has_singly) + [f"{_KEY_OF_GRAPHS} off"] * bool(obstacle)
    raise UsageError(
        f"--resume: the run's steps were computed in {stored.way.name}, which is not possible here ({here}). "
        f"Go on where it began, or change it for the rest of the run: --allow-changes {' '.join(keys)}"
    )


def embedding_to_choose(start: Start) -> ChooseEmbedding:
    """Return how it is decided in which way images are embedded: as `way_to_choose`, so that scores stay comparable.

    Raises:
        CheckpointError: what is stored of it is damaged.
    """
    if start.checkpoint is None:
        return choose_embedding
    stored = read_embed_choice(start.folder)
    is_asked_otherwise = any(key in start.changed for key in _KEYS_OF_THE_STEP)
    return embedding_by_rule if stored is None or is_asked_otherwise else partial(_embedding_as_it_began, stored)


def _embedding_as_it_began(stored: EmbedChoice, task: ToEmbed) -> EmbedChoice:
    """Return the stored choice. Raises UsageError where this machine does not compute so."""
    if is_open(stored.way, task.config, task.device, task.model):
        return stored
    rule = embedding_by_rule(task).way
    raise UsageError(
        f"--resume: the run's scores were computed in {stored.way.name}, which is not possible here ({task.device}). Go on where "
        f"it began, or change it for the rest of the run: --allow-changes {StepWay(rule.number_format, rule.channels_last).keys}"
    )


def first_progress(session: Session, start: Start) -> Progress:
    """Return where the run stands: at its beginning, or where its checkpoint left it, with its weights put in place."""
    if start.checkpoint is None:
        return Progress(session.schedule)
    progress = restore(session.parts, start.checkpoint, start.config)
    if {"SOLVER.STEPS", "SOLVER.IMS_PER_BATCH"}.intersection(start.changed):  # forced: stored milestones count other steps
        schedule = session.schedule
        progress = replace(progress, schedule=schedule, step=progress.epoch * schedule.steps_per_epoch)
    _log.info("Going on after epoch %d (step %d).", progress.epoch, progress.step)
    if "SOLVER.MAX_EPOCH" in start.changed:
        return progress.with_patience_reset()
    return take_drop(progress) if decide(start.config, progress) == "drop" else progress


def times_test_was_scored(start: Start) -> int:
    """Return how often earlier parts of this run have scored the test set."""
    if start.checkpoint is None:
        return 0
    info = read_run(start.folder.path).info
    return int(info.get("times_test_was_scored", 1 if info.get("test") else 0))


def warm_restart_notes(schedule: Schedule, epochs: Sequence[EpochRecord]) -> tuple[str, ...]:
    """Return a sentence for each time a cosine, stretched to a later MAX_EPOCH, lifted the learning rate again.

    Args:
        schedule: of the run as it goes on.
        epochs: trained so far.
    """
    if schedule.kind != "CosineAnnealingLR" or not epochs:
        return ()
    next_rate = schedule.rate_at(epochs[-1].epoch * schedule.steps_per_epoch)
    rates = [*(epoch.learning_rate for epoch in epochs), next_rate]
    rises = [
        (epoch.epoch, before, after)
        for epoch, before, after in zip(epochs, rates, rates[1:], strict=False)
        if after > _A_RISE * before and epoch.epoch * schedule.steps_per_epoch > schedule.warmup_steps
    ]
    return tuple(
        f"The learning rate rose after epoch {epoch}, from {before:.2e} to {after:.2e}: a cosine that goes on to a later "
        "SOLVER.MAX_EPOCH makes a warm restart. It is not the run that would have been planned for so many epochs."
        for epoch, before, after in rises
    )
