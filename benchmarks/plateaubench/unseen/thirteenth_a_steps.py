"""Faults of `thirteenth_a` in the optimiser, its step and what is left of a run.

Shape legend: B batch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Adam, Optimizer

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.backbones import convolutions_and_norms
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.models.reid import ReidModel


def decay_behind_the_optimiser(experiment: Experiment) -> None:
    """The decay is chained behind the optimiser, so no rate multiplies it.

    github.com/FluxML/model-zoo/pull/303
    """
    for group in experiment.optimizers[0].param_groups:
        group["weight_decay"] = 0.0
    planting.after_update(experiment, lambda ps: torch._foreach_mul_([*ps], 1 - 5e-4))


def decay_divided_by_the_loss_scale(experiment: Experiment) -> None:
    """The decay is added before gradients are unscaled, and so divided with them.

    github.com/chainer/chainer/issues/7335
    """
    for group in experiment.optimizers[0].param_groups:
        group["weight_decay"] /= 2.0**16


def first_weights_scored(experiment: Experiment) -> None:
    """The evaluation closes over the parameters made at the start.

    github.com/google/flax/pull/3982
    """
    first = copy.deepcopy(experiment.model)

    def model_of(experiment: Experiment) -> ReidModel:
        for old, new in zip(first.buffers(), experiment.model.buffers(), strict=True):
            old.copy_(new)
        return first

    experiment.evaluator.model_of = model_of


def convolutions_keep_their_last_piece(experiment: Experiment) -> None:
    """Convolutions zero their gradient in each backward of an accumulation.

    github.com/yjxiong/caffe/pull/96
    """

    def step(parts: Parts, batch: Batch) -> StepTerms:
        convolutions = [m for m in parts.model.modules() if isinstance(m, nn.Conv2d)]
        for optimizer in parts.optimizers:
            optimizer.zero_grad(set_to_none=True)
        found = []
        for first in range(2):
            piece = Batch(*(values[first::2] for values in vars(batch).values()))
            for convolution in convolutions:
                convolution.weight.grad = None
            found.append(planting.losses_of(parts, piece))
            (found[-1].total / 2).backward()
        for optimizer in parts.optimizers:
            optimizer.step()
        means = {name: torch.stack([t.parts[name].detach() for t in found]).mean() for name in found[0].parts}
        return StepTerms(torch.stack([t.total.detach() for t in found]).mean(), means, found[0].measurements)

    experiment.step = step


def gradients_of_a_device_over_the_whole_batch(experiment: Experiment) -> None:
    """Each device divides the gradient of its own share by the whole batch.

    github.com/apache/mxnet/issues/6007
    """
    planting.before_update(experiment, lambda ps: torch._foreach_div_([p.grad for p in ps if p.grad is not None], 4))


def zero_weights_get_a_ratio_of_zero(experiment: Experiment) -> None:
    """The trust ratio of a weight that is 0 is 0: it stays so.

    github.com/Spijkervet/SimCLR/issues/27
    """

    def stop(parameters: list[nn.Parameter]) -> None:
        for parameter in parameters:
            if parameter.grad is not None and not parameter.any():
                parameter.grad.zero_()

    planting.before_update(experiment, stop)


def bias_correction_kept_in_the_moments(experiment: Experiment) -> None:
    """The moments are corrected in place, step after step.

    github.com/frgfm/holocron/issues/1
    """

    def keep(optimizer: Optimizer, *_: object) -> None:
        for _parameter, (first, second), state in _moments(optimizer):
            state["exp_avg"].div_(1 - first ** float(state["step"]))
            state["exp_avg_sq"].div_(1 - second ** float(state["step"]))

    experiment.optimizers[0].register_step_post_hook(keep)


def complement_taken_twice(experiment: Experiment) -> None:
    """sqrt(1 - correction) stands where sqrt(correction) belongs.

    github.com/kozistr/AdaBound-tensorflow/issues/3
    """

    def factor(step: int) -> float:
        left = 0.999**step
        return float((left / (1 - left)) ** 0.5)

    rate_within_the_update(experiment, lambda group, step: group["lr"] * factor(step))


def step_counted_for_each_parameter(experiment: Experiment) -> None:
    """The step grows twice for each parameter, so that moments are hardly corrected.

    github.com/geoopt/geoopt/issues/164
    """
    steps = count(1, 2)

    def grow(optimizer: Optimizer, *_: object) -> None:
        for _parameter, _betas, state in _moments(optimizer):
            state["step"].fill_(next(steps))

    experiment.optimizers[0].register_step_pre_hook(grow)


def statistics_with_a_momentum_of_zero(experiment: Experiment) -> None:
    """After weights are averaged, statistics are reset and learned with momentum 0.

    github.com/Lightning-AI/pytorch-lightning/issues/14866
    """
    average, updates, taken = copy.deepcopy(experiment.model), count(1), count(1)
    length, total = experiment.schedule.steps_per_epoch, experiment.schedule.total_steps
    ended = []

    @torch.no_grad()
    def take(*_: object) -> None:
        done = next(updates)
        if done % length or done < 0.8 * total:
            return
        share = 1 / next(taken)
        for old, new in zip(average.parameters(), experiment.model.parameters(), strict=True):
            old.lerp_(new, share)
        if done == total:
            ended.append(done)

    for module in average.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
    experiment.optimizers[0].register_step_post_hook(take)
    experiment.evaluator.model_of = lambda experiment: average if ended else experiment.model


class HalfAdam(Adam):
    """Adam all in half precision, where its epsilon is 0."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group)

    def _move(self, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        weight = parameter.half()
        assert parameter.grad is not None
        gradient, state, betas = parameter.grad.half() + group["weight_decay"] * weight, self.state[parameter], group["betas"]
        state["step"] = state.get("step", 0) + 1
        first, second = state.get("m", torch.zeros_like(weight)), state.get("v", torch.zeros_like(weight))
        state["m"] = betas[0] * first + (1 - betas[0]) * gradient
        state["v"] = betas[1] * second + (1 - betas[1]) * gradient * gradient
        mean, square = state["m"] / (1 - betas[0] ** state["step"]), state["v"] / (1 - betas[1] ** state["step"])
        epsilon = torch.tensor(group["eps"]).half()
        parameter.copy_(weight - group["lr"] * (mean / (square.sqrt() + epsilon)))


def epsilon_rounded_away(experiment: Experiment) -> None:
    """In half precision Adam's epsilon is 0, and so are small squares.

    github.com/google-deepmind/optax/issues/1754
    """
    groups = [{**group, "fused": False} for group in experiment.optimizers[0].param_groups]
    experiment.optimizers = (HalfAdam(groups),)


def statistics_of_a_thousandth(experiment: Experiment) -> None:
    """A batch norm from elsewhere has a momentum of 0.001.

    github.com/vacancy/Synchronized-BatchNorm-PyTorch/issues/5
    """
    for module in experiment.model.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = 0.001


def checkpointed_from_the_images_on(experiment: Experiment) -> None:
    """A checkpointed first half gets no gradient, as images require none.

    github.com/pytorch/pytorch/issues/7617
    """
    layers = convolutions_and_norms(experiment.model.backbone)
    planting.change_output(layers[len(layers) // 2 - 1], torch.Tensor.detach)


def _moments(optimizer: Optimizer) -> Iterator[tuple[nn.Parameter, tuple[float, float], dict[str, Any]]]:
    """Yield (parameter, betas, state) of every parameter that was updated before."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if "step" in optimizer.state.get(parameter, {}):
                yield parameter, group["betas"], optimizer.state[parameter]


def rate_within_the_update(experiment: Experiment, rate_of: Callable[[dict[str, Any], int], float]) -> None:
    """Let each group be updated at `rate_of` (group, number of the update from 1), and have its own rate otherwise."""
    updates, kept = count(1), []

    def change(optimizer: Optimizer, *_: object) -> None:
        step = next(updates)
        kept[:] = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            group["lr"] = rate_of(group, step)

    def restore(optimizer: Optimizer, *_: object) -> None:
        for group, rate in zip(optimizer.param_groups, kept, strict=True):
            group["lr"] = rate

    experiment.optimizers[0].register_step_pre_hook(change)
    experiment.optimizers[0].register_step_post_hook(restore)


def own_group(experiment: Experiment, chosen: list[nn.Parameter]) -> None:
    """Move parameters into a group of their own, marked "chosen"."""
    own, groups = {id(parameter) for parameter in chosen}, experiment.optimizers[0].param_groups
    for group in list(groups):
        inside = [p for p in group["params"] if id(p) in own]
        group["params"] = [p for p in group["params"] if id(p) not in own]
        groups.append({**group, "params": inside, "chosen": True})
