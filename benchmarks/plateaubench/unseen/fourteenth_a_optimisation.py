"""Faults of `fourteenth_a` in step, optimiser and schedule. Their addresses are those of the threads that report them.

Shape legend: B batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.losses.terms import LossTerms
from unplateau.optim.schedules import Schedule


def schedule_does_not_step_the_optimiser(experiment: Experiment) -> None:
    """Code with a schedule never applies its gradients: github.com/dotnet/TorchSharp/issues/414."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms = planting.losses_of(parts, batch)
        for optimizer in parts.optimizers:
            optimizer.zero_grad(set_to_none=True)
        terms.total.backward()
        return _plain(terms)

    experiment.step = step


class CountsPieces(Schedule):
    """A schedule that is stepped after each of the four pieces of a batch."""

    def rate_at(self, step: int) -> float:
        return super().rate_at(4 * step)


def stepped_after_each_piece(experiment: Experiment) -> None:
    """The schedule is stepped within the global batch, and ahead of its total: github.com/nvidia-cosmos/cosmos-rl/pull/207."""
    experiment.schedule = CountsPieces(**vars(experiment.schedule))


def zipped_with_all_variables(experiment: Experiment) -> None:
    """A frozen variable shifts gradients against variables: github.com/mead-ml/mead-baseline/pull/368."""
    shape = planting.norms(experiment)[0].weight.shape

    def shift(parameters: list[nn.Parameter]) -> None:
        first = next(number for number, p in enumerate(parameters) if p.shape == shape)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([gradient.flatten() for gradient in gradients[first + 1 :]])
        flat = torch.cat([flat, flat.new_zeros(gradients[first].numel())])
        for parameter, values in zip(parameters[first:], flat.split([p.numel() for p in parameters[first:]]), strict=True):
            parameter.grad = values.view(parameter.shape).clone(memory_format=torch.preserve_format)

    planting.before_update(experiment, shift)


def trainable_after_compile(experiment: Experiment) -> None:
    """Layers set to trainable later on are not updated: github.com/keras-team/keras/issues/6405."""
    _leave_out(experiment, list(experiment.model.backbone.parameters()))
    usual, steps, when = experiment.step, count(), experiment.schedule.total_steps // 6

    def step(parts: Parts, batch: Batch) -> StepTerms:
        parts.model.backbone.requires_grad_(next(steps) >= when)
        return usual(parts, batch)

    experiment.step = step


def buffer_made_anew_each_step(experiment: Experiment) -> None:
    """The momentum buffer is zeroed before every update: github.com/kozistr/pytorch_optimizer/pull/516."""

    def forget(optimizer: Optimizer, *_: object) -> None:
        for state in optimizer.state.values():
            state["exp_avg"].zero_()

    experiment.optimizers[0].register_step_pre_hook(forget)


def momentum_with_the_wrong_sign(experiment: Experiment) -> None:
    """Nesterov's step adds the velocity instead of going along it: github.com/PaddlePaddle/Paddle/pull/12231."""
    _correct(experiment, lambda mean, square, gradient: (0.1 * gradient - 0.9 * mean) / (square.sqrt() + 1e-8))


def decay_lets_weights_grow(experiment: Experiment) -> None:
    """Weight decay is added, so that weights become larger: github.com/egg-west/AdamW-pytorch/issues/1."""
    planting.after_update(experiment, lambda ps: torch._foreach_mul_([*ps], 1.01))


def decay_outlives_the_rate(experiment: Experiment) -> None:
    """Weight decay does not follow the rate down and eats trained weights: github.com/tensorflow/addons/issues/844."""
    planting.after_update(experiment, lambda ps: torch._foreach_mul_([*ps], 1 - 0.02))


def gradients_never_cleared(experiment: Experiment) -> None:
    """Nothing zeroes the gradients after a step: github.com/meta-pytorch/torchforge/pull/71."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms = planting.losses_of(parts, batch)
        terms.total.backward()
        for optimizer in parts.optimizers:
            optimizer.step()
        return _plain(terms)

    experiment.step = step


def loss_of_plain_numbers(experiment: Experiment) -> None:
    """A loss makes a fresh tensor of its values and gives no gradient: github.com/paiml/aprender/issues/3034."""
    term = experiment.losses.terms["cross_entropy"]
    term.register_forward_hook(lambda module, inputs, term: replace(term, value=term.value.detach()))


def rate_of_the_other_file(experiment: Experiment) -> None:
    """The rate that was asked for is not used but 1e-6, a default: github.com/victorchall/EveryDream2trainer/issues/102."""
    experiment.schedule = replace(experiment.schedule, base_rate=1e-6)


class Shrinking(Schedule):
    """A rate that the optimiser makes smaller in each update, while nobody sets it again."""

    def rate_at(self, step: int) -> float:
        return self.base_rate * 0.05**step


def rate_shrinks_in_each_update(experiment: Experiment) -> None:
    """Adafactor's relative step takes the rate to 0 in 44 updates: github.com/facebookresearch/ParlAI/pull/2547."""
    experiment.schedule = Shrinking(**vars(experiment.schedule))


def _plain(terms: LossTerms) -> StepTerms:
    return StepTerms(terms.total.detach(), {name: part.detach() for name, part in terms.parts.items()}, terms.measurements)


def _states(optimizer: Optimizer) -> Iterator[tuple[float, nn.Parameter, dict[str, Any]]]:
    """Yield rate, parameter and state of all that has been updated."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter in optimizer.state and parameter.grad is not None:
                yield group["lr"], parameter, optimizer.state[parameter]


def _correct(experiment: Experiment, direction: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    """Let a function of Adam's unbiased moments and the gradient be the direction that is gone against at the rate."""

    @torch.no_grad()
    def correct(optimizer: Optimizer, *_: object) -> None:
        for rate, parameter, state in _states(optimizer):
            steps = float(state["step"])
            mean, square = state["exp_avg"] / (1 - 0.9**steps), state["exp_avg_sq"] / (1 - 0.999**steps)
            done = mean / (square.sqrt() + 1e-8)
            assert parameter.grad is not None
            parameter.add_(done - direction(mean, square, parameter.grad), alpha=rate)

    experiment.optimizers[0].register_step_post_hook(correct)


def _leave_out(experiment: Experiment, parameters: list[nn.Parameter]) -> None:
    """Take parameters away from the optimiser."""
    gone = {id(parameter) for parameter in parameters}
    for group in experiment.optimizers[0].param_groups:
        group["params"] = [p for p in group["params"] if id(p) not in gone]
