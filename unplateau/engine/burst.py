"""A short training from where the parts stand, on given images, that leaves no trace in them. What it showed is judged elsewhere.

Several configurations are handed the same images in the same augmentation; another batch size cuts the same images otherwise.
B batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count

import torch

from unplateau.base.randomness import stream_seed
from unplateau.data.loader import Batch, TrainLoader
from unplateau.engine.freezing import freeze
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import train_step
from unplateau.evaluation.ranking import Retrieval
from unplateau.optim.schedules import Schedule
from unplateau.probes.leave_no_trace import Stateful, untouched


@dataclass(frozen=True)
class BurstRun:
    """What a burst left behind."""

    terms: dict[str, tuple[float, ...]]
    """Unweighted loss terms, a value a step."""
    num_images: int
    after: Retrieval | None
    """The validation with the trained weights; None where nothing is validated, or after a divergence."""
    diverged_at: int | None = None
    """Step whose loss was no finite number."""


def batches_from(loader: TrainLoader, epoch: int) -> Iterator[Batch]:
    """Yield the batches of `epoch`, counted from 1, and of those that follow, without an end."""
    for number in count(epoch):
        yield from loader.epoch(number)


def first_images(batches: Iterable[Batch], num_images: int, *, batch_size: int) -> Iterator[Batch]:
    """Yield the first `num_images` images in their order, cut into batches of `batch_size`, without an unfilled rest."""
    kept: list[Batch] = []
    waiting = taken = 0
    for batch in batches:
        kept, waiting = [*kept, batch], waiting + len(batch.person_ids_B)
        while waiting >= batch_size:
            if taken + batch_size > num_images:
                return
            whole = _joined(kept)
            yield _cut(whole, 0, batch_size)
            kept, waiting, taken = [_cut(whole, batch_size, waiting)], waiting - batch_size, taken + batch_size
        if taken + batch_size > num_images:
            return


def run_burst(parts: Parts, schedule: Schedule, batches: Iterable[Batch], *, first_step: int) -> BurstRun:
    """Train on `batches` and validate; then put weights, optimisers and random states back, to the bit.

    Args:
        parts: of the configuration to try, holding the state to start from.
        schedule: its learning rates.
        batches: what to train on.
        first_step: place of the first batch in the schedule, in this configuration's own steps.
    """
    others: list[Stateful] = [*parts.optimizers]
    if parts.precision.scaler is not None:
        others.append(parts.precision.scaler)
    if parts.average is not None:
        others.append(parts.average)
    with untouched([parts.model, parts.losses], others):
        torch.manual_seed(stream_seed(parts.config.SEED, "burst", first_step))
        return _train(parts, schedule, batches, first_step)


def _train(parts: Parts, schedule: Schedule, batches: Iterable[Batch], first_step: int) -> BurstRun:
    parts.model.train()
    recorded: dict[str, list[float]] = {}
    num_images = 0
    for step, batch in enumerate(batches, first_step):
        freeze(parts.model, parts.config, step)
        schedule.apply(parts.optimizers, step)
        terms = train_step(parts, batch)
        if not torch.isfinite(terms.total):  # synchronises the GPU
            return BurstRun(_frozen(recorded), num_images, None, diverged_at=step)
        num_images += len(batch.person_ids_B)
        for name, value in terms.parts.items():
            recorded.setdefault(name, []).append(float(value))
    after = parts.validate(parts.scored_model) if parts.validate is not None else None
    return BurstRun(_frozen(recorded), num_images, after)


def _frozen(recorded: dict[str, list[float]]) -> dict[str, tuple[float, ...]]:
    return {name: tuple(values) for name, values in recorded.items()}


def _joined(batches: list[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    return Batch(
        torch.cat([batch.images_BCHW for batch in batches]),
        torch.cat([batch.person_ids_B for batch in batches]),
        torch.cat([batch.camera_ids_B for batch in batches]),
    )


def _cut(batch: Batch, start: int, end: int) -> Batch:
    return Batch(batch.images_BCHW[start:end], batch.person_ids_B[start:end], batch.camera_ids_B[start:end])
