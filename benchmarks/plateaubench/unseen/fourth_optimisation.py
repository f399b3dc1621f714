"""Faults of `fourth` in optimiser, schedule, step and precision.

Shape legend: B batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import torch
from torch import Tensor, nn

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.backbones import convolutions_and_norms
from benchmarks.plateaubench.experiment import Experiment
from benchmarks.plateaubench.planting import Inject
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.losses.terms import LossTerms
from unplateau.optim.schedules import Schedule

_LOSS_SCALE = 65536.0  # where torch's gradient scaler begins
_STATIC_SCALE = 2.0**20  # a loss scale that was right for the small gradients of a larger network


def clipped_before_unscaling(experiment: Experiment) -> None:
    """Gradients are clipped to a norm of 0.1 while they are still multiplied by the loss scale, then divided by it."""

    def clip(parameters: list[nn.Parameter]) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        torch._foreach_mul_(gradients, _LOSS_SCALE)
        nn.utils.clip_grad_norm_(parameters, 0.1)
        torch._foreach_div_(gradients, _LOSS_SCALE)

    planting.before_update(experiment, clip)


def static_scale_overflows(experiment: Experiment) -> None:
    """The loss scale is a constant, so large that gradients in half precision overflow, and such steps are skipped."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms, (optimizer,) = planting.losses_of(parts, batch), parts.optimizers
        optimizer.zero_grad(set_to_none=True)
        terms.total.backward()
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if all(bool((_STATIC_SCALE * gradient).half().isfinite().all()) for gradient in gradients):
            optimizer.step()
        return _logged(terms)

    experiment.step = step


def unfrozen_but_not_held(experiment: Experiment) -> None:
    """The optimiser was built from what required a gradient then; two epochs later the backbone is unfrozen, held by nobody."""
    own = {id(parameter) for parameter in experiment.model.backbone.parameters()}
    for group in experiment.optimizers[0].param_groups:
        group["params"] = [parameter for parameter in group["params"] if id(parameter) not in own]
    usual, steps, first = experiment.step, count(), 2 * experiment.schedule.steps_per_epoch
    experiment.model.backbone.requires_grad_(False)

    def step(parts: Parts, batch: Batch) -> StepTerms:
        parts.model.backbone.requires_grad_(next(steps) >= first)
        return usual(parts, batch)

    experiment.step = step


def cleared_between_two_losses(experiment: Experiment) -> None:
    """Each loss has its own backward pass, and gradients are cleared before both: those of the cross-entropy are lost."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms, (optimizer,) = planting.losses_of(parts, batch), parts.optimizers
        for part in (terms.parts["cross_entropy"], terms.parts["triplet"]):
            optimizer.zero_grad(set_to_none=True)
            part.backward(retain_graph=True)
        optimizer.step()
        return _logged(terms)

    experiment.step = step


def last_piece_only(pieces: int) -> Inject:
    """The batch goes through in pieces, and `loss` is overwritten by each: the backward pass sees the last piece alone."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        for values in zip(*(values.chunk(pieces) for values in vars(batch).values()), strict=True):
            terms = planting.losses_of(parts, Batch(*values))
        return planting.update(parts, terms)

    def inject(experiment: Experiment) -> None:
        experiment.step = step

    return inject


def absolute_weights_summed(experiment: Experiment) -> None:
    """A penalty on absolute weights, meant to make some of them zero, is summed over all weights and not averaged."""
    _add_to_total(experiment, lambda parts: 1e-2 * torch.stack([p.abs().sum() for p in parts.model.parameters()]).sum())


def drawn_to_the_first_weights(experiment: Experiment) -> None:
    """A penalty that keeps weights near where they began, meant for pretrained ones, though these are random."""
    first = [parameter.detach().clone() for parameter in experiment.model.parameters()]

    def distance(parts: Parts) -> Tensor:
        pairs = zip(parts.model.parameters(), first, strict=True)
        return torch.stack([(now - then).square().sum() for now, then in pairs]).sum()

    _add_to_total(experiment, distance)


class _LinearInBatches(Schedule):
    """Goes down to 0 in a straight line whose length is a number of epochs, and is asked for the rate of a batch."""

    def rate_at(self, step: int) -> float:
        return self.base_rate * max(0.0, 1 - step / self.max_epochs)


def descent_counted_in_batches(experiment: Experiment) -> None:
    """A linear descent over all epochs is stepped once a batch: the rate is 0 before the first epoch ends."""
    experiment.schedule = _LinearInBatches(**vars(experiment.schedule))


def milestones_as_shares(experiment: Experiment) -> None:
    """Milestones are given as shares of the run (0.4, 0.7, 0.9) and rounded down to epochs: three drops before the first step."""
    experiment.schedule = replace(experiment.schedule, milestone_steps=(0, 0, 0))


def one_group_scheduled(experiment: Experiment) -> None:
    """The warm-up begins at 0, and the loop writes the rate of `param_groups[0]` only, which is the head: the rest stays at 0."""
    _set_factors(experiment, lambda name: float(name.startswith("head.")))


def decayed_layer_by_layer(experiment: Experiment) -> None:
    """Each layer has half the rate of the next, as when a pretrained transformer is tuned; nothing here is pretrained."""
    backbone = experiment.model.backbone
    layers = [module for module in convolutions_and_norms(backbone) if isinstance(module, nn.Conv2d)]
    owner = {id(weight): number for number, layer in enumerate(layers) for weight in layer.parameters()}
    of_name = {f"backbone.{name}": owner.get(id(weight)) for name, weight in backbone.named_parameters()}

    def factor(name: str) -> float:
        number = of_name.get(name)
        return 1.0 if number is None else 0.5 ** (len(layers) - number)

    _set_factors(experiment, factor)


def second_optimizer_holds_all(experiment: Experiment) -> None:
    """The SGD at a rate of 0.5 that is meant for the centres of a centre loss was given `model.parameters()` too."""
    held = [parameter for parameter in experiment.model.parameters() if parameter.requires_grad]
    group = {"params": held, "lr": 0.5, "fixed_lr": 0.5, "name": "centres of the centre loss"}
    experiment.optimizers = (*experiment.optimizers, torch.optim.SGD([group], lr=0.5))


class _Lion(torch.optim.Optimizer):
    """Steps of one size along the sign of an averaged gradient (Chen et al. 2023, algorithm 2), betas 0.9 and 0.99."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in (p for p in group["params"] if p.grad is not None):
                average = self.state[parameter].setdefault("average", torch.zeros_like(parameter))
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(average.lerp(parameter.grad, 0.1).sign_(), alpha=-group["lr"])
                average.lerp_(parameter.grad, 0.01)


def lion_at_adams_rate(experiment: Experiment) -> None:
    """The optimiser is Lion, whose rate has to be three to ten times below Adam's, at the rate that was found for Adam."""
    groups = [{**group} for group in experiment.optimizers[0].param_groups]
    experiment.optimizers = (_Lion(groups, {"lr": experiment.config.SOLVER.BASE_LR}),)


def _add_to_total(experiment: Experiment, penalty: Callable[[Parts], Tensor]) -> None:
    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms = planting.losses_of(parts, batch)
        return planting.update(parts, replace(terms, total=terms.total + penalty(parts)))

    experiment.step = step


def _set_factors(experiment: Experiment, factor_of: Callable[[str], float]) -> None:
    """Group the parameters anew by the factor of the rate that their name gets, the largest factor first."""
    (settings,) = experiment.optimizers[0].param_groups
    named = [(name, weight) for name, weight in experiment.model.named_parameters() if weight.requires_grad]
    factors = sorted({factor_of(name) for name, _ in named}, reverse=True)
    experiment.optimizers[0].param_groups[:] = [
        {**settings, "params": [weight for name, weight in named if factor_of(name) == factor], "factor": factor}
        for factor in factors
    ]


def _logged(terms: LossTerms) -> StepTerms:
    return StepTerms(terms.total.detach(), {name: part.detach() for name, part in terms.parts.items()}, terms.measurements)
