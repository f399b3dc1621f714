"""Faults of the first half of `sixth` in optimiser, schedule, step, precision and distributed training.

Shape legend: B batch, D feature dim.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from torch.optim.lr_scheduler import ReduceLROnPlateau

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.losses.terms import LossTerms
from unplateau.optim.schedules import Schedule

_RANKS = 4
_MARGIN = 0.3
_SGD_RATE = 0.05  # right for SGD with a momentum of 0.9 on this network


def frozen_by_a_digit_in_the_name(experiment: Experiment) -> None:
    """Stage 0 is to be frozen, and every name with a 0 in it is taken: also the first module of each later layer."""
    for name, parameter in experiment.model.backbone.named_parameters():
        if "0" in name:
            parameter.requires_grad_(False)


def second_optimizer_never_stepped(experiment: Experiment) -> None:
    """Head and backbone have an optimiser each, and the loop steps the first of them only."""
    own = {id(parameter) for parameter in experiment.model.backbone.parameters()}
    groups = experiment.optimizers[0].param_groups
    of_head = [{**group, "params": [p for p in group["params"] if id(p) not in own]} for group in groups]
    of_backbone = [{**group, "params": [p for p in group["params"] if id(p) in own]} for group in groups]
    head, backbone = torch.optim.Adam(of_head), torch.optim.Adam(of_backbone)
    backbone.step = lambda closure=None: None  # type: ignore[method-assign,assignment]
    experiment.optimizers = (head, backbone)


def only_its_own_shard_updated(experiment: Experiment) -> None:
    """Every rank updates a quarter of the tensors, and nothing sends the others what it has updated."""
    for group in experiment.optimizers[0].param_groups:
        group["params"] = group["params"][::_RANKS]


def reparametrised_after_the_optimizer(experiment: Experiment) -> None:
    """Weight normalisation was added after the optimiser was built: it holds weights that are now computed from others."""
    for module in list(experiment.model.backbone.modules()):
        if isinstance(module, nn.Conv2d):
            parametrizations.weight_norm(module)


def sum_of_the_ranks_never_cleared(experiment: Experiment) -> None:
    """Gradients of all ranks are added up in a buffer of our own, which nobody sets back to 0 after the step."""
    buffers: dict[nn.Parameter, Tensor] = {}

    def add(parameters: list[nn.Parameter]) -> None:
        for parameter in parameters:
            if parameter.grad is not None:
                buffer = buffers.setdefault(parameter, torch.zeros_like(parameter))
                parameter.grad.copy_(buffer.add_(parameter.grad))

    planting.before_update(experiment, add)


def root_of_zero_under_the_scaler(experiment: Experiment) -> None:
    """Distances are roots without a smallest value: the gradient at 0 is not a number, and the scaler leaves such steps out."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        outputs, (optimizer,) = parts.network(batch.images_BCHW, person_ids_B=batch.person_ids_B), parts.optimizers
        terms = parts.losses(outputs.features_BD, outputs.logits_BI, batch.person_ids_B)
        triplet = _hardest_of_all_roots(outputs.features_BD, batch.person_ids_B)
        total = terms.parts["cross_entropy"] + triplet
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if all(bool(gradient.isfinite().all()) for gradient in gradients):
            optimizer.step()
        return _logged(replace(terms, total=total, parts={**terms.parts, "triplet": triplet}))

    experiment.step = step


def loss_kept_below_one(experiment: Experiment) -> None:
    """The loss is cut off at 1 (`clamp`) against jumps, as was right for the metric loss alone; above it nothing has a slope."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms = planting.losses_of(parts, batch)
        return planting.update(parts, replace(terms, total=terms.total.clamp(max=1.0)))

    experiment.step = step


def losses_summed_over_the_batch(experiment: Experiment) -> None:
    """SGD at a rate that suits it, and losses that are sums over the images of a batch where means were (`reduction="sum"`)."""
    _use_sgd(experiment, momentum=0.9)

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms, size = planting.losses_of(parts, batch), len(batch.person_ids_B)
        summed = {name: size * part for name, part in terms.parts.items()}
        return planting.update(parts, replace(terms, total=size * terms.total, parts=summed))

    experiment.step = step


def momentum_and_decay_exchanged(experiment: Experiment) -> None:
    """SGD at a rate that suits it; its momentum is the weight decay of the recipe, and its weight decay 0.9."""
    _use_sgd(experiment, momentum=experiment.config.SOLVER.WEIGHT_DECAY)
    for group in experiment.optimizers[0].param_groups:
        group["weight_decay"] = 0.9


def plateau_counted_in_batches(experiment: Experiment) -> None:
    """Torch's ReduceLROnPlateau, with a patience of 2 epochs, is told the loss of every batch."""
    stand_in = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)  # its rate is the factor
    plateau, usual = ReduceLROnPlateau(stand_in, patience=2), experiment.step

    def step(parts: Parts, batch: Batch) -> StepTerms:
        for group in (group for optimizer in parts.optimizers for group in optimizer.param_groups):
            group["lr"] *= stand_in.param_groups[0]["lr"]
        terms = usual(parts, batch)
        plateau.step(float(terms.total))
        return terms

    experiment.step = step


class _DropsEveryBatch(Schedule):
    """In the epoch of a milestone every batch multiplies the rate anew."""

    def rate_at(self, step: int) -> float:
        again = sum(min(step - m, self.steps_per_epoch - 1) for m in self.milestone_steps if step >= m)
        return super().rate_at(step) * self.gamma**again


def drop_repeated_in_every_batch(experiment: Experiment) -> None:
    """`if epoch in milestones: lr *= 0.1` stands inside the loop over batches."""
    experiment.schedule = _DropsEveryBatch(**vars(experiment.schedule))


class _GoesOn(Schedule):
    """Begins where a run of the same length ended."""

    def rate_at(self, step: int) -> float:
        return super().rate_at(self.total_steps + step)


def counter_of_the_run_before(experiment: Experiment) -> None:
    """The checkpoint to begin from gave its step number, and none of its weights: all drops lie behind new weights."""
    experiment.schedule = _GoesOn(**vars(experiment.schedule))


class _MultipliesItself(Schedule):
    """The share of the warm-up that is done multiplies the rate of the step before, not the base rate."""

    def rate_at(self, step: int) -> float:
        rate = self._multi_step(step)
        for done in range(1, min(step + 1, self.warmup_steps) + 1):
            rate *= done / self.warmup_steps
        return rate


def warm_up_multiplies_itself(experiment: Experiment) -> None:
    """`group["lr"] = group["lr"] * step / warmup_steps`: twenty shares multiplied with each other are hardly more than 0."""
    experiment.schedule = _MultipliesItself(**vars(replace(experiment.schedule, warmup_steps=20)))


def _hardest_of_all_roots(features_BD: Tensor, person_ids_B: Tensor) -> Tensor:
    """Batch-hard triplet loss on the roots of all squared distances, those of an image to itself among them."""
    distances_BB = (features_BD[:, None] - features_BD).square().sum(2).sqrt()
    same_BB = person_ids_B[:, None] == person_ids_B
    d_ap_B = torch.where(same_BB, distances_BB, 0.0).amax(1)
    d_an_B = torch.where(same_BB, torch.inf, distances_BB).amin(1)
    return F.relu(d_ap_B - d_an_B + _MARGIN).mean()


def _use_sgd(experiment: Experiment, *, momentum: float) -> None:
    kept = ("params", "lr", "weight_decay", "factor", "name")
    groups: list[dict[str, Any]] = [{name: group[name] for name in kept} for group in experiment.optimizers[0].param_groups]
    experiment.optimizers = (torch.optim.SGD(groups, lr=_SGD_RATE, momentum=momentum),)
    experiment.schedule = replace(experiment.schedule, base_rate=_SGD_RATE)


def _logged(terms: LossTerms) -> StepTerms:
    return StepTerms(terms.total.detach(), {name: part.detach() for name, part in terms.parts.items()}, terms.measurements)
