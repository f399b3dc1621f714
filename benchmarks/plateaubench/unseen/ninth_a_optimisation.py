"""Faults of the first half of `ninth` in optimiser, schedule, step, precision and distributed work.

Shape legend: Q queries, G gallery.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Batches, Experiment, sampler
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.evaluation.embedded import Embedded
from unplateau.evaluation.ranking import Retrieval, retrieve
from unplateau.losses.terms import LossTerms
from unplateau.optim.build import build_optimizers
from unplateau.optim.schedules import Schedule

_RANKS = 4
_SGD_RATE = 0.05  # right for SGD with a momentum of 0.9 on this network
_MODEL_WIDTH, _WARM_UP = 512, 4000  # of the first transformer
_FINDER_STEPS, _LOWEST, _HIGHEST = 100, 1e-7, 10.0  # where a search for a rate usually begins and ends


def hook_added_in_each_epoch(experiment: Experiment) -> None:
    """A hook makes the backbone's gradients ten times smaller; it is registered at the start of each epoch, and all stay."""
    planting.regroup(experiment, experiment.model.backbone, hooked=0.1)
    steps, length = count(), experiment.schedule.steps_per_epoch

    @torch.no_grad()
    def shrink(optimizer: Optimizer, *_: object) -> None:
        hooks = 1 + next(steps) // length
        for group in optimizer.param_groups:
            for parameter in (p for p in group["params"] if p.grad is not None):
                parameter.grad.mul_(group.get("hooked", 1.0) ** hooks)

    experiment.optimizers[0].register_step_pre_hook(shrink)


def scales_made_sparse_too_strongly(experiment: Experiment) -> None:
    """SGD at a rate that suits it; scales of the norms get 0.1 times their sign as gradient, to prune later, and 0.0001 is usual.

    Network slimming, Liu et al. 2017, section 3.
    """
    experiment.optimizers = (torch.optim.SGD(_groups(experiment), lr=_SGD_RATE, momentum=0.9),)
    experiment.schedule = replace(experiment.schedule, base_rate=_SGD_RATE)

    def add_signs(parts: Parts) -> None:
        for module in parts.model.backbone.modules():
            if isinstance(module, nn.BatchNorm2d) and module.weight.grad is not None:
                module.weight.grad.add_(module.weight.detach().sign(), alpha=0.1)

    experiment.step = _step(before_update=add_signs)


def gradients_never_shared(experiment: Experiment) -> None:
    """The model was taken out of its distributed wrapper: a rank learns from its part of the people and of the batch alone."""
    settings = experiment.config
    of_a_rank = sampler(settings.DATALOADER.SAMPLER_TRAIN, num_images=settings.SOLVER.IMS_PER_BATCH // _RANKS)

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rows = np.flatnonzero(experiment.labels_N % _RANKS == 0)
        own = replace(experiment, labels_N=experiment.labels_N[rows], train=tuple(experiment.train[row] for row in rows))
        return rows[of_a_rank(own, epoch)]

    experiment.plan = plan


def scale_of_zero_was_saved(experiment: Experiment) -> None:
    """The gradient scaler was loaded from a run that broke, in which its scale had fallen to 0: all is 0, and divided by 0."""
    scale = 0.0

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms, (optimizer,) = planting.losses_of(parts, batch), parts.optimizers
        optimizer.zero_grad(set_to_none=True)
        (scale * terms.total).backward()
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        torch._foreach_div_(gradients, scale)
        if all(bool(gradient.isfinite().all()) for gradient in gradients):
            optimizer.step()
        return _logged(terms)

    experiment.step = step


class _Lars(Optimizer):
    """SGD whose step is a share of the weights' length (You et al. 2017, algorithm 1), vectors left out; momentum 0.9."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in (p for p in group["params"] if p.grad is not None):
                gradient = parameter.grad.add(parameter, alpha=group["weight_decay"])
                trust = 1e-3 * parameter.norm() / gradient.norm().clamp(min=1e-8) if parameter.ndim > 1 else 1.0
                velocity = self.state[parameter].setdefault("velocity", torch.zeros_like(parameter))
                velocity.mul_(0.9).add_(group["lr"] * trust * gradient)
                parameter.sub_(velocity)


def lars_at_sgds_rate(experiment: Experiment) -> None:
    """The optimiser is LARS, whose rate is a hundred times that of SGD or more, at the rate that was found for SGD."""
    experiment.optimizers = (_Lars(_groups(experiment), {"lr": _SGD_RATE}),)
    experiment.schedule = replace(experiment.schedule, base_rate=_SGD_RATE)


class _OfTheFirstTransformer(Schedule):
    """Up for 4000 steps, then down with the root of the steps (Vaswani et al. 2017, equation 3); no base rate."""

    def rate_at(self, step: int) -> float:
        return float(_MODEL_WIDTH**-0.5 * min((step + 1) ** -0.5, (step + 1) * _WARM_UP**-1.5))


def warm_up_of_a_transformer(experiment: Experiment) -> None:
    """The schedule was copied from a transformer: its warm-up of 4000 steps is longer than the run."""
    experiment.schedule = _OfTheFirstTransformer(**vars(experiment.schedule))


def rate_and_decay_exchanged(experiment: Experiment) -> None:
    """`make_sgd(parameters, weight_decay, rate)` is given the two in the other order: the rate is 0.0005, the decay 0.05."""
    rate = experiment.config.SOLVER.WEIGHT_DECAY
    groups = [{**group, "weight_decay": _SGD_RATE} for group in _groups(experiment)]
    experiment.optimizers = (torch.optim.SGD(groups, lr=rate, momentum=0.9),)
    experiment.schedule = replace(experiment.schedule, base_rate=rate)


def second_stage_where_the_first_ended(experiment: Experiment) -> None:
    """The head learns alone for three epochs, with a cosine down to 0; the backbone joins, and the schedule is not made anew."""
    experiment.schedule = replace(experiment.schedule, kind="CosineAnnealingLR", max_epochs=3)
    usual, steps, first = experiment.step, count(), 3 * experiment.schedule.steps_per_epoch

    def step(parts: Parts, batch: Batch) -> StepTerms:
        parts.model.backbone.requires_grad_(next(steps) >= first)
        return usual(parts, batch)

    experiment.step = step


class _BaseOfTheWarmUp(Schedule):
    """After the warm-up, the rate at which that began takes the place of the base rate."""

    def rate_at(self, step: int) -> float:
        rate = super().rate_at(step)
        return rate if step < self.warmup_steps else rate * self._warmup(0)


def base_rate_read_in_the_warm_up(experiment: Experiment) -> None:
    """The schedule that follows the warm-up is made while that has just begun, and takes the rate it finds for its base rate."""
    schedule = replace(experiment.schedule, warmup_steps=20, warmup_factor=0.01)
    experiment.schedule = _BaseOfTheWarmUp(**vars(schedule))


def updates_lost_out_of_order_in_memory(experiment: Experiment) -> None:
    """A kernel of the optimiser writes to a copy where a weight's numbers do not lie in order: `channels_last` filters stay."""
    before: dict[nn.Parameter, Tensor] = {}

    def keep(parameters: list[nn.Parameter]) -> None:
        before.update({parameter: parameter.clone() for parameter in parameters if not parameter.is_contiguous()})

    def lose(parameters: list[nn.Parameter]) -> None:
        for parameter in (parameter for parameter in parameters if parameter in before):
            parameter.copy_(before.pop(parameter))

    planting.before_update(experiment, keep)
    planting.after_update(experiment, lose)


def weights_of_the_rate_finder_kept(experiment: Experiment) -> None:
    """A search for the rate goes up until the loss is five times its best, and nobody puts the weights of before back."""
    parts, batches, losses = experiment.parts(), Batches(experiment), [float("inf")]
    experiment.model.train()
    for step, batch in zip(range(_FINDER_STEPS), (b for epoch in count(1001) for b in batches.epoch(epoch)), strict=False):
        for group in experiment.optimizers[0].param_groups:
            group["lr"] = _LOWEST * (_HIGHEST / _LOWEST) ** (step / (_FINDER_STEPS - 1))
        losses.append(float(experiment.step(parts, batch).total))
        if losses[-1] > 5 * min(losses):
            break
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def rows_of_all_epochs_ranked(experiment: Experiment) -> None:
    """The evaluator's lists of features and ids are not emptied: those of all earlier epochs are ranked with the new ones."""
    evaluator = experiment.evaluator
    queries: list[Embedded] = []
    gallery: list[Embedded] = []

    def score(experiment: Experiment) -> Retrieval:
        queries.append(evaluator.embed(experiment, evaluator.query))
        gallery.append(evaluator.embed(experiment, evaluator.gallery))
        return retrieve(_joined(queries), _joined(gallery), protocol="held-out", dataset=evaluator.query[0].dataset)

    evaluator.score = score  # type: ignore[method-assign]


def _joined(parts: list[Embedded]) -> Embedded:
    return Embedded(*(np.concatenate(values) for values in zip(*(vars(part).values() for part in parts), strict=True)))


def _step(*, before_update: Callable[[Parts], None]) -> Callable[[Parts, Batch], StepTerms]:
    """Return a step that does something between its backward pass and its update."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms, (optimizer,) = planting.losses_of(parts, batch), parts.optimizers
        optimizer.zero_grad(set_to_none=True)
        terms.total.backward()
        before_update(parts)
        optimizer.step()
        return _logged(terms)

    return step


def _groups(experiment: Experiment) -> list[dict[str, Any]]:
    """Return the groups without what belongs to Adam."""
    kept = ("params", "lr", "weight_decay", "factor", "name")
    return [{name: group[name] for name in kept} for group in experiment.optimizers[0].param_groups]


def _logged(terms: LossTerms) -> StepTerms:
    return StepTerms(terms.total.detach(), {name: part.detach() for name, part in terms.parts.items()}, terms.measurements)
