"""Faults of the first half of `fifth` in optimiser, schedule, step and precision.

Shape legend: B batch, S steps of an epoch.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.optim.schedules import Schedule

_RANKS = 4
_SGD_RATE = 0.05  # right for SGD with a momentum of 0.9 on this network


class _OneCycleOfImages(Schedule):
    """Up for 30 % of the way, then down, as torch's OneCycleLR; the way is as long as there are images, not batches."""

    def rate_at(self, step: int) -> float:
        lowest, share = self.base_rate / 25, step / (32 * self.total_steps)
        if share < 0.3:
            return _between(lowest, self.base_rate, share / 0.3)
        return _between(self.base_rate, lowest / 1e4, (share - 0.3) / 0.7)


def one_cycle_counted_in_images(experiment: Experiment) -> None:
    """The length of a one-cycle schedule is `epochs * len(dataset)` where `len(loader)` is meant: the run ends in its ascent."""
    experiment.schedule = _OneCycleOfImages(**vars(experiment.schedule))


class _CosineOfBatches(Schedule):
    """Torch's CosineAnnealingLR goes up again after its length: here a number of epochs, and each batch is a step."""

    def rate_at(self, step: int) -> float:
        return _between(self.base_rate, 0.0, step / self.max_epochs)


def cosine_swings_with_the_batches(experiment: Experiment) -> None:
    """A cosine over all epochs is stepped once a batch, so that the rate swings down and up all the time."""
    experiment.schedule = _CosineOfBatches(**vars(experiment.schedule))


class _WholeDivision(Schedule):
    """The share of a warm-up of ten epochs that is done, in whole numbers."""

    def rate_at(self, step: int) -> float:
        epoch = step // self.steps_per_epoch
        return super().rate_at(step) if epoch >= 10 else self.base_rate * (epoch // 10)


def warm_up_in_whole_numbers(experiment: Experiment) -> None:
    """The warm-up, of ten epochs as usual, multiplies by `epoch // 10` where `epoch / 10` is meant."""
    experiment.schedule = _WholeDivision(**vars(experiment.schedule))


def schedule_of_the_optimizer_before(experiment: Experiment) -> None:
    """The optimiser was made again after the schedule, which goes on with the old one: the rate stays where warm-up begins."""
    begin = experiment.schedule.rate_at(0)

    def stay(optimizer: Optimizer, *_: object) -> None:
        for group in optimizer.param_groups:
            group["lr"] = begin * group["factor"]

    experiment.optimizers[0].register_step_pre_hook(stay)


def every_rank_draws_the_same(experiment: Experiment) -> None:
    """All ranks seed their sampler alike and ignore their number: a batch is a quarter of one, four times."""
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rows_SB = usual(experiment, epoch)
        return np.tile(rows_SB[:, : rows_SB.shape[1] // _RANKS], _RANKS)

    experiment.plan = plan


def momentum_with_a_nine_too_many(experiment: Experiment) -> None:
    """SGD at a rate that suits it, with a momentum of 0.999 where 0.9 is meant: a step goes on for a thousand others."""
    _use_sgd(experiment, momentum=0.999)


def sgd_clipped_to_a_hundredth(experiment: Experiment) -> None:
    """SGD at a rate that suits it, and gradients clipped to a norm of 0.01, which would not have mattered to Adam."""
    _use_sgd(experiment, momentum=0.9)
    planting.before_update(experiment, lambda parameters: _clip(parameters, 0.01))


def adadelta_at_adams_rate(experiment: Experiment) -> None:
    """The optimiser is Adadelta, whose rate is 1, at the rate that was found for Adam."""
    experiment.optimizers = (torch.optim.Adadelta(_groups(experiment), lr=experiment.config.SOLVER.BASE_LR),)


def cleared_once_an_epoch(experiment: Experiment) -> None:
    """`zero_grad` stands one level too far left: before the loop over batches."""
    optimizer, steps, length = experiment.optimizers[0], count(), experiment.schedule.steps_per_epoch
    usual = optimizer.zero_grad
    optimizer.zero_grad = lambda set_to_none=True: usual() if next(steps) % length == 0 else None  # type: ignore[method-assign]


def steps_with_long_gradients_left_out(experiment: Experiment) -> None:
    """A guard against jumps of the loss leaves out every update whose gradient is longer than 1, which nearly all are."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms, (optimizer,) = planting.losses_of(parts, batch), parts.optimizers
        optimizer.zero_grad(set_to_none=True)
        terms.total.backward()
        held = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if float(torch.stack([gradient.norm() for gradient in held]).norm()) <= 1:
            optimizer.step()
        return StepTerms(terms.total.detach(), {name: part.detach() for name, part in terms.parts.items()}, terms.measurements)

    experiment.step = step


def gradients_stay_off_after_validation(experiment: Experiment) -> None:
    """Validation switches gradients off and nothing switches them on; the error was silenced by `loss.requires_grad_()`."""
    usual, steps, first = experiment.step, count(), experiment.schedule.steps_per_epoch

    def step(parts: Parts, batch: Batch) -> StepTerms:
        if next(steps) < first:
            return usual(parts, batch)
        with torch.no_grad():
            terms = planting.losses_of(parts, batch)
        return planting.update(parts, replace(terms, total=terms.total.requires_grad_()))

    experiment.step = step


def frozen_for_the_steps_of_a_longer_run(experiment: Experiment) -> None:
    """The backbone is frozen "for the first steps", a number from a larger data set: it lasts until the last epochs."""
    usual, steps, first = experiment.step, count(), 10 * experiment.schedule.steps_per_epoch

    def step(parts: Parts, batch: Batch) -> StepTerms:
        parts.model.backbone.requires_grad_(next(steps) >= first)
        return usual(parts, batch)

    experiment.step = step


def _between(first: float, last: float, share: float) -> float:
    """Go along a cosine from the first to the last value, and back again after it."""
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


def _use_sgd(experiment: Experiment, *, momentum: float) -> None:
    experiment.optimizers = (torch.optim.SGD(_groups(experiment), lr=_SGD_RATE, momentum=momentum),)
    experiment.schedule = replace(experiment.schedule, base_rate=_SGD_RATE)


def _groups(experiment: Experiment) -> list[dict[str, object]]:
    """Return the groups without what belongs to Adam."""
    kept = ("params", "lr", "weight_decay", "factor", "name")
    return [{name: group[name] for name in kept} for group in experiment.optimizers[0].param_groups]


def _clip(parameters: list[nn.Parameter], norm: float) -> None:
    nn.utils.clip_grad_norm_(parameters, norm)
