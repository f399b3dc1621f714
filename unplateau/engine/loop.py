"""THE loop. Reads top to bottom: rate, batch, step, record, validate, checkpoint, stop?

It yields each finished epoch; writing records, texts and reports is the caller's part, done before the checkpoint is
saved, so that a crash repeats an epoch and never loses one.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from unplateau.base.randomness import stream_seed
from unplateau.engine.checkpoint import CheckpointStore
from unplateau.engine.freezing import freeze
from unplateau.engine.parts import Parts
from unplateau.engine.requests import StopRequested, StopRequests
from unplateau.engine.step_log import StepLog
from unplateau.engine.stopping import Progress, decide, is_validated, last_epoch, take_drop
from unplateau.engine.train_step import train_step
from unplateau.engine.watch import MotionWatch
from unplateau.evaluation.ranking import Retrieval
from unplateau.runs.record import EpochRecord


@dataclass(frozen=True)
class EpochDone:
    """A finished epoch: what happened, where the run stands, and what follows ("drop", a stop code, or None)."""

    record: EpochRecord
    progress: Progress
    decision: str | None
    retrieval: Retrieval | None


@dataclass(frozen=True)
class StepsDone:
    """A moment inside an epoch, for a progress bar."""

    epoch: int
    step_in_epoch: int
    steps_per_epoch: int
    learning_rate: float
    latest: dict[str, float]


def train(
    parts: Parts,
    progress: Progress,
    *,
    checkpoints: CheckpointStore | None = None,
    requests: StopRequests | None = None,
    on_steps: Callable[[StepsDone], None] | None = None,
) -> Iterator[EpochDone]:
    """Train from `progress` to the end, yielding after each epoch.

    Raises:
        StopRequested: Ctrl+C, SIGTERM or the time budget, met between two steps.
        Diverged: a loss term became NaN or infinite.
    """
    requests = requests or StopRequests()
    steps_per_epoch = parts.train_loader.steps_per_epoch
    for epoch in range(progress.epoch + 1, last_epoch(parts.config) + 1):
        started = time.perf_counter()
        torch.manual_seed(stream_seed(parts.config.SEED, "epoch", epoch, parts.ranks.rank))
        parts.model.train()
        step, log, motion = progress.step, StepLog(epoch, progress.step), MotionWatch(parts.model)
        for batch in parts.train_loader.epoch(epoch):
            freeze(parts.model, parts.config, step)
            rate = progress.schedule.apply(parts.optimizers, step)
            terms = train_step(parts, batch)
            step += 1
            motion.after_step()
            was_read = log.add(terms, rate)
            if was_read or parts.ranks.world_size == 1:  # several processes agree only now and then: it costs a message
                _meet(parts, requests, log)
            if on_steps is not None:
                on_steps(StepsDone(epoch, step - progress.step, steps_per_epoch, rate, log.latest))
        log.flush()
        log.check_weights(parts.model.state_dict().values())
        _meet(parts, requests, log)
        trained = time.perf_counter()

        for module in (parts.model, parts.scored_model):
            parts.ranks.share_buffers(module)
        retrieval = _validate(parts, epoch)
        score = parts.ranks.from_main(retrieval.metrics.mAP if retrieval else None)  # other machines may round otherwise
        progress = progress.after(epoch, step, score)
        record = _record(parts, progress, log, motion=motion, retrieval=retrieval, times=(started, trained))

        decision = decide(parts.config, progress)
        if decision == "drop":
            progress = take_drop(progress)
        yield EpochDone(record, progress, decision, retrieval)
        stops = decision not in (None, "drop")
        is_due = epoch == 1 or epoch % parts.config.SOLVER.CHECKPOINT_PERIOD == 0
        if checkpoints is not None and (stops or is_due):
            checkpoints.save(parts, progress)
        if stops:
            return


def _meet(parts: Parts, requests: StopRequests, log: StepLog) -> None:
    """Let all ranks leave together, for the same reason."""
    answers = parts.ranks.gather((log.damage, requests.pending()))
    for damage, code in answers:
        if damage is not None:
            raise damage
        if code is not None:
            raise StopRequested(code)


def _validate(parts: Parts, epoch: int) -> Retrieval | None:
    if parts.validate is None or not is_validated(parts.config, epoch):
        return None
    return parts.validate(parts.scored_model)


def _record(
    parts: Parts,
    progress: Progress,
    log: StepLog,
    *,
    motion: MotionWatch,
    retrieval: Retrieval | None,
    times: tuple[float, float],
) -> EpochRecord:
    means, (started, trained), now = log.means(), times, time.perf_counter()
    losses = {name: means[name] for name in sorted(log.terms - {"total_loss"})}
    others = {name: value for name, value in means.items() if name not in log.terms and name != "accuracy"}
    return EpochRecord(
        epoch=progress.epoch,
        steps=progress.step,
        learning_rate=log.learning_rate,
        total_loss=means["total_loss"],
        losses=losses,
        accuracy=means.get("accuracy"),
        measurements={**others, **motion.measurements()},
        skipped_steps=log.skipped_steps,
        train_seconds=trained - started,
        validation_seconds=now - trained,
        images_per_second=log.num_steps * parts.config.SOLVER.IMS_PER_BATCH / max(trained - started, 1e-9),
        validation=retrieval.metrics if retrieval else None,
        is_best=retrieval is not None and progress.best_epoch == progress.epoch,
    )
