"""Faults of the first half of `tenth` in optimiser, schedule, step and precision, from threads in which a cause was found.

Shape legend: B batch, S steps of an epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.losses.terms import LossTerms
from unplateau.models.build import build_model

_SGD_RATE = 0.05  # right for SGD with a momentum of 0.9 on this network
_PIECES = 4  # of an accumulation


def factor_of_zero_where_it_should_be_one(experiment: Experiment) -> None:
    """Without a schedule, drops were to multiply the rate by 1; they multiply it by 0, the first after a fifth of the run.

    Seen: https://github.com/LINCellularNeuroscience/VAME/issues/26
    """
    schedule = experiment.schedule
    experiment.schedule = replace(schedule, gamma=0.0, milestone_steps=(schedule.total_steps // 5,))


def accumulated_and_not_divided(experiment: Experiment) -> None:
    """SGD at a rate that suits it; the gradients of four batches are added up for an update, and not divided by four.

    Seen: https://github.com/hirofumi0810/neural_sp/issues/168 and https://github.com/deepinsight/insightface/issues/2258
    """
    _use_sgd(experiment, _SGD_RATE)
    numbers = count(1)

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms, (optimizer,) = planting.losses_of(parts, batch), parts.optimizers
        terms.total.backward()
        if next(numbers) % _PIECES == 0:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return _logged(terms)

    experiment.step = step


class _DampenedTwice(Optimizer):
    """SGD whose momentum is an average of gradients, and whose step multiplies it by (1 - momentum) once more."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in (p for p in group["params"] if p.grad is not None):
                gradient = parameter.grad.add(parameter, alpha=group["weight_decay"])
                average = self.state[parameter].setdefault("average", torch.zeros_like(parameter))
                parameter.sub_(average.lerp_(gradient, 0.1), alpha=0.1 * group["lr"])


def momentum_dampened_twice(experiment: Experiment) -> None:
    """An SGD of our own, at a rate that suits torch's, multiplies each gradient by (1 - momentum) twice.

    Seen: https://github.com/mdenil/dropout/issues/4
    """
    experiment.optimizers = (_DampenedTwice(_groups(experiment), {"lr": _SGD_RATE}),)
    experiment.schedule = replace(experiment.schedule, base_rate=_SGD_RATE)


def biases_given_for_their_gradients(experiment: Experiment) -> None:
    """The update is called with (bias, bias) and not (bias, its gradient): biases are driven to 0 and learn nothing.

    Seen: https://github.com/apache/systemds/pull/2330
    """

    def give_values(parts: Parts) -> None:
        for name, parameter in parts.model.named_parameters():
            if name.endswith("bias") and parameter.grad is not None:
                parameter.grad.copy_(parameter)

    experiment.step = _step(before_update=give_values)


def weights_kept_in_half_precision(experiment: Experiment) -> None:
    """SGD at a rate that suits it; weights are kept as bfloat16 and no copy in single precision is: small updates round to none.

    Seen: https://github.com/workofart/ml-by-hand/pull/85
    """
    _use_sgd(experiment, _SGD_RATE)

    def round_off(parameters: list[nn.Parameter]) -> None:
        for parameter in parameters:
            parameter.copy_(parameter.bfloat16())

    planting.after_update(experiment, round_off)


def initialised_again_in_each_epoch(experiment: Experiment) -> None:
    """The network is built again, with new weights, where an epoch begins; the optimiser goes on with its averages.

    Seen: https://github.com/rwth-i6/returnn/issues/1109 and https://github.com/Nixtla/neuralforecast/issues/674
    """
    usual, steps, length = experiment.step, count(), experiment.schedule.steps_per_epoch
    people, cameras = experiment.num_identities, 1 + max(item.camera_id for item in experiment.train)

    def step(parts: Parts, batch: Batch) -> StepTerms:
        if next(steps) % length == 0:
            new = build_model(parts.config, num_identities=people, num_cameras=cameras).model
            parts.model.load_state_dict(new.state_dict())
        return usual(parts, batch)

    experiment.step = step


def optimizer_made_in_each_step(experiment: Experiment) -> None:
    """Adam is made inside the loop over batches: no step knows of those before, and none gets the schedule's rate.

    Seen: https://github.com/ZantFoundation/Z-Ant/issues/107
    """
    rate = experiment.schedule.base_rate

    def forget(optimizer: Optimizer, *_: object) -> None:
        optimizer.state.clear()
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]

    experiment.optimizers[0].register_step_pre_hook(forget)


class _BeginsWithTheGradient(Optimizer):
    """SGD with a momentum of 0.9 whose velocity begins as the gradient itself and not as the rate times it."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in (p for p in group["params"] if p.grad is not None):
                gradient, state = parameter.grad.add(parameter, alpha=group["weight_decay"]), self.state[parameter]
                velocity = state["velocity"].mul_(0.9).sub_(gradient, alpha=group["lr"]) if state else -gradient
                state["velocity"] = velocity
                parameter.add_(velocity)


def velocity_begins_without_the_rate(experiment: Experiment) -> None:
    """An SGD of our own, at a rate that suits torch's, forgets the rate where it makes the first velocity.

    Seen: https://github.com/zc911/MatrixSlow/pull/17
    """
    experiment.optimizers = (_BeginsWithTheGradient(_groups(experiment), {"lr": _SGD_RATE}),)
    experiment.schedule = replace(experiment.schedule, base_rate=_SGD_RATE)


def loop_left_after_two_batches(experiment: Experiment) -> None:
    """`if step == 2: break`, from looking for an error, is still in the loop over batches. From experience."""
    usual = experiment.plan
    experiment.plan = lambda experiment, epoch: usual(experiment, epoch)[:2]


def checkpoint_overwritten_by_copies(experiment: Experiment) -> None:
    """The run is resumed in epoch 10; the optimiser's copies in single precision are of new weights, and go to the model.

    Seen, as a suspicion: https://github.com/deepspeedai/DeepSpeed/issues/2101; else from experience.
    """
    first = {name: parameter.detach().clone() for name, parameter in experiment.model.named_parameters()}
    usual, steps = experiment.step, count()
    resumed = min(9, experiment.schedule.max_epochs - 1) * experiment.schedule.steps_per_epoch

    def step(parts: Parts, batch: Batch) -> StepTerms:
        if next(steps) == resumed:
            parts.model.load_state_dict(first, strict=False)
        return usual(parts, batch)

    experiment.step = step


def _step(*, before_update: Callable[[Parts], None]) -> Callable[[Parts, Batch], StepTerms]:
    """Return a step that does something between its backward pass and its update."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms, (optimizer,) = planting.losses_of(parts, batch), parts.optimizers
        optimizer.zero_grad(set_to_none=True)
        terms.total.backward()
        with torch.no_grad():
            before_update(parts)
        optimizer.step()
        return _logged(terms)

    return step


def _use_sgd(experiment: Experiment, rate: float) -> None:
    experiment.optimizers = (torch.optim.SGD(_groups(experiment), lr=rate, momentum=0.9),)
    experiment.schedule = replace(experiment.schedule, base_rate=rate)


def _groups(experiment: Experiment) -> list[dict[str, Any]]:
    """Return the groups without what belongs to Adam."""
    kept = ("params", "lr", "weight_decay", "factor", "name")
    return [{name: group[name] for name in kept} for group in experiment.optimizers[0].param_groups]


def _logged(terms: LossTerms) -> StepTerms:
    return StepTerms(terms.total.detach(), {name: part.detach() for name, part in terms.parts.items()}, terms.measurements)
