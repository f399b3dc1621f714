"""Faults of the first half of `eleventh` in step, schedule and precision, from threads with a cause found.

Shape legend: B batch.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Batches, Experiment
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.losses.terms import LossTerms
from unplateau.optim.schedules import Schedule

_SGD_RATE = 0.05  # right for SGD with a momentum of 0.9 on this network


@dataclass(frozen=True)
class _Watched(Schedule):
    """The schedule, times a share that falls by what an epoch gave."""

    share: list[float] = field(default_factory=lambda: [1.0])

    def rate_at(self, step: int) -> float:
        return super().rate_at(step) * self.share[0]


def improvement_over_a_negative_value(experiment: Experiment) -> None:
    """The rate is halved where (last - new) / last is below 0.0025; what is watched is negative, so each gain counts as a loss.

    Seen: https://github.com/speechbrain/speechbrain/pull/318
    """

    def falls(values: Sequence[float]) -> bool:
        return len(values) > 1 and (values[-2] - values[-1]) / values[-2] < 0.0025

    _watch(experiment, lambda terms: -float(terms.measurements["accuracy"]), falls, factor=0.5)


def default_rate_with_a_schedule(experiment: Experiment) -> None:
    """As soon as a schedule is added, the rate is Adam's default of 0.001 and not the configured one.

    Seen: https://github.com/SPOClab-ca/dn3/issues/6
    """
    experiment.schedule = replace(experiment.schedule, base_rate=0.001)


def highest_loss_wanted(experiment: Experiment) -> None:
    """The rate is to fall on a plateau of the loss; the mode is "max", from the score watched before: it falls with the loss.

    Seen: https://github.com/FunctionLab/selene/issues/115
    """

    def falls(values: Sequence[float]) -> bool:
        without_gain = len(values) - 1 - int(np.argmax(values))
        return without_gain > 0 and without_gain % 2 == 0

    _watch(experiment, lambda terms: float(terms.total), falls, factor=0.1)


def dropped_for_every_image_of_a_batch(experiment: Experiment) -> None:
    """The drop stands in the loop that fills a batch: where its step has come, it is done once for every image.

    Seen: https://github.com/amoudgl/pygoturn/issues/16
    """
    schedule = experiment.schedule
    experiment.schedule = replace(schedule, gamma=schedule.gamma**experiment.config.SOLVER.IMS_PER_BATCH)


@dataclass(frozen=True)
class _SteppedInTheLoop(Schedule):
    def rate_at(self, step: int) -> float:
        return super().rate_at(step) * 0.85**step


def decayed_in_each_update(experiment: Experiment) -> None:
    """A rate that falls to 85 % in an epoch falls so in every update.

    Seen: https://github.com/meta-llama/llama-cookbook/issues/27
    """
    experiment.schedule = _SteppedInTheLoop(**vars(experiment.schedule))


@dataclass(frozen=True)
class _HorizonOfEpochs(Schedule):
    def rate_at(self, step: int) -> float:
        height = 0.5 * (1 + math.cos(math.pi * step / self.max_epochs))
        return self.base_rate * self._warmup(step) * height


def horizon_in_epochs_stepped_in_updates(experiment: Experiment) -> None:
    """A cosine that is stepped in every update is told the number of epochs for its length: it falls and rises all the time.

    Seen: https://github.com/ScrollPrize/villa/pull/1495
    """
    experiment.schedule = _HorizonOfEpochs(**vars(experiment.schedule))


def schedule_trusted_to_step_the_optimizer(experiment: Experiment) -> None:
    """`scheduler.step()` is called and taken for the update, since it was made of the optimiser: no weight ever moves.

    Seen: https://github.com/pytorch/pytorch/issues/3814
    """

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms = planting.losses_of(parts, batch)
        for optimizer in parts.optimizers:
            optimizer.zero_grad(set_to_none=True)
        terms.total.backward()
        return _logged(terms)

    experiment.step = step


def clipped_while_still_scaled(experiment: Experiment) -> None:
    """SGD at a rate that suits it; gradients are clipped to a norm of 1 while they are still scaled by 65536.

    Seen: https://github.com/TorchSSL/TorchSSL/pull/59
    """
    _use_sgd(experiment, _SGD_RATE, momentum=0.9)
    scale = 2.0**16

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms, (optimizer,) = planting.losses_of(parts, batch), parts.optimizers
        optimizer.zero_grad(set_to_none=True)
        (terms.total * scale).backward()
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for parameter in parameters:
            assert parameter.grad is not None
            parameter.grad.div_(scale)
        optimizer.step()
        return _logged(terms)

    experiment.step = step


def dropped_after_the_first_epoch(experiment: Experiment) -> None:
    """`scheduler.step(epoch)` for `scheduler.step()`: the drop comes after the first epoch.

    Seen: https://github.com/cherubicXN/hawp/issues/3
    """
    schedule = experiment.schedule
    experiment.schedule = replace(schedule, milestone_steps=(schedule.steps_per_epoch,))


@dataclass(frozen=True)
class _WarmUpOfAnEpoch(Schedule):
    def rate_at(self, step: int) -> float:
        return self._multi_step(step) * self._warmup(step % self.steps_per_epoch)


def warm_up_counted_within_the_epoch(experiment: Experiment) -> None:
    """Warm-up is longer than an epoch and counts the steps within it: in each epoch it begins again, and never ends.

    Seen: https://github.com/Vision-CAIR/MiniGPT-4/pull/263
    """
    begun = _WarmUpOfAnEpoch(**vars(experiment.schedule))
    experiment.schedule = replace(begun, warmup_steps=max(begun.warmup_steps, 20))


def warm_up_divides_what_the_schedule_begins_with(experiment: Experiment) -> None:
    """Making the warm-up divides the optimiser's rate by its length, and the schedule, made after it, takes that for the base.

    Seen: https://github.com/Tony-Y/pytorch_warmup/issues/26
    """
    schedule = experiment.schedule
    experiment.schedule = replace(schedule, base_rate=schedule.base_rate / max(schedule.warmup_steps, 20))


def gradients_never_set_to_zero(experiment: Experiment) -> None:
    """Plain SGD; `zero_grad()` is not called, so each update is by the sum of all gradients so far.

    Seen: https://github.com/IBM/aihwkit/issues/446
    """
    _use_sgd(experiment, _SGD_RATE, momentum=0.0)

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms, (optimizer,) = planting.losses_of(parts, batch), parts.optimizers
        terms.total.backward()
        optimizer.step()
        return _logged(terms)

    experiment.step = step


def found_where_the_loss_rises_fastest(experiment: Experiment) -> None:
    """A finder tries rising rates and takes that of the largest slope of the loss, where it should take the most negative.

    Seen: https://github.com/OHDSI/DeepPatientLevelPrediction/issues/141
    """
    rates = np.geomspace(1e-7, 1.0, 60)
    slopes = np.gradient(_smoothed(_losses_at(experiment, rates)))
    experiment.schedule = replace(experiment.schedule, base_rate=float(rates[np.argmax(slopes)]))


def _losses_at(experiment: Experiment, rates: Sequence[float]) -> list[float]:
    """Return the loss at each rate of a trial run on copies; it ends where the loss is four times the best."""
    copies = copy.deepcopy((experiment.model, experiment.losses, experiment.optimizers))
    trial = replace(experiment, model=copies[0], losses=copies[1], optimizers=copies[2])
    parts, batches, losses = trial.parts(), Batches(trial), list[float]()
    drawn = [batch for epoch in range(1, 1 + math.ceil(len(rates) / batches.steps_per_epoch)) for batch in batches.epoch(epoch)]
    trial.model.train()
    for rate, batch in zip(rates, drawn, strict=False):
        for group in parts.optimizers[0].param_groups:
            group["lr"] = rate
        losses.append(float(trial.step(parts, batch).total))
        if losses[-1] > 4 * min(losses):
            break
    return losses


def _smoothed(values: Sequence[float]) -> list[float]:
    smooth = [values[0]]
    for value in values[1:]:
        smooth.append(0.95 * smooth[-1] + 0.05 * value)
    return smooth


def _watch(
    experiment: Experiment,
    value_of: Callable[[StepTerms], float],
    falls: Callable[[Sequence[float]], bool],
    *,
    factor: float,
) -> None:
    """Let the rate fall by a factor after each epoch whose mean value, beside those before, says so."""
    schedule = _Watched(**vars(experiment.schedule))
    usual, values, means = experiment.step, list[float](), list[float]()

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms = usual(parts, batch)
        values.append(value_of(terms))
        if len(values) == schedule.steps_per_epoch:
            means.append(float(np.mean(values)))
            values.clear()
            schedule.share[0] *= factor if falls(means) else 1.0
        return terms

    experiment.schedule, experiment.step = schedule, step


def _use_sgd(experiment: Experiment, rate: float, *, momentum: float) -> None:
    kept = ("params", "lr", "weight_decay", "factor", "name")
    groups: list[dict[str, Any]] = [{name: group[name] for name in kept} for group in experiment.optimizers[0].param_groups]
    experiment.optimizers = (torch.optim.SGD(groups, lr=rate, momentum=momentum),)
    experiment.schedule = replace(experiment.schedule, base_rate=rate)


def _logged(terms: LossTerms) -> StepTerms:
    return StepTerms(terms.total.detach(), {name: part.detach() for name, part in terms.parts.items()}, terms.measurements)
