"""Faults of the first half of `eighth` in optimiser, schedule, step, precision and distributed work.

Shape legend: B batch, S steps of an epoch, P identities of a batch, K images of each.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.backbones import convolutions_and_norms
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.items import Item
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.losses.terms import LossTerms
from unplateau.optim.schedules import Schedule

_RANKS = 4
_SGD_RATE = 0.05  # right for SGD with a momentum of 0.9 on this network
_ONE_CYCLE_PEAK = 0.1  # of examples, which are for SGD
_FIRST_SCALE, _GROWTH_INTERVAL, _LARGEST_SCALE = 2.0**10, 10, 2.0**60


class _TimesItself(Schedule):
    """What should be a share of the base rate is a rate."""

    def rate_at(self, step: int) -> float:
        return self.base_rate * super().rate_at(step)


def lambda_gives_the_rate(experiment: Experiment) -> None:
    """`LambdaLR` multiplies the base rate by what its function gives, and the function gives the rate itself."""
    experiment.schedule = _TimesItself(**vars(experiment.schedule))


class _OfTheRateBefore(Schedule):
    """Multiplies the rate of the step before by what should multiply the base rate."""

    def rate_at(self, step: int) -> float:
        shares = ((1 - done / self.total_steps) ** 0.9 for done in range(min(step, self.total_steps) + 1))
        return self.base_rate * self._warmup(step) * math.prod(shares)


def polynomial_of_the_rate_before(experiment: Experiment) -> None:
    """`group["lr"] *= (1 - step / steps) ** 0.9`, in every step: a gentle descent is multiplied with itself."""
    experiment.schedule = _OfTheRateBefore(**vars(experiment.schedule))


class _OneCycle(Schedule):
    """Up for 30 % of the way, then down, as torch's OneCycleLR."""

    def rate_at(self, step: int) -> float:
        lowest, share = _ONE_CYCLE_PEAK / 25, step / self.total_steps
        if share < 0.3:
            return _between(lowest, _ONE_CYCLE_PEAK, share / 0.3)
        return _between(_ONE_CYCLE_PEAK, lowest / 1e4, (share - 0.3) / 0.7)


def one_cycle_with_the_peak_of_an_example(experiment: Experiment) -> None:
    """A one-cycle schedule brings its own highest rate, 0.1 as in examples with SGD; the optimiser is Adam."""
    experiment.schedule = _OneCycle(**vars(experiment.schedule))


def rmsprop_at_sgds_rate(experiment: Experiment) -> None:
    """The optimiser is RMSprop with a momentum of 0.9, at the rate that was found for SGD."""
    experiment.optimizers = (torch.optim.RMSprop(_groups(experiment), lr=_SGD_RATE, momentum=0.9),)
    experiment.schedule = replace(experiment.schedule, base_rate=_SGD_RATE)


def limit_and_order_of_the_norm_exchanged(experiment: Experiment) -> None:
    """`clip_grad_norm_(parameters, 2, 0.1)`: 2 is the limit and 0.1 the order of the norm, which is infinite then."""
    planting.before_update(experiment, lambda parameters: _clip(parameters, limit=2.0, order=0.1))


def clipped_to_a_thousandth_of_the_weights(experiment: Experiment) -> None:
    """SGD at a rate that suits it; gradients are clipped to a thousandth of their weights' length, a hundredth is usual.

    Adaptive clipping, Brock et al. 2021, equation 3: unit by unit, and weights count as 0.001 long at least.
    """
    experiment.optimizers = (torch.optim.SGD(_groups(experiment), lr=_SGD_RATE, momentum=0.9),)
    experiment.schedule = replace(experiment.schedule, base_rate=_SGD_RATE)

    def clip(parameters: list[nn.Parameter]) -> None:
        for parameter in parameters:
            if parameter.grad is not None:
                limit = 1e-3 * _length_of_units(parameter).clamp(min=1e-3)
                parameter.grad.mul_((limit / _length_of_units(parameter.grad).clamp(min=1e-6)).clamp(max=1.0))

    planting.before_update(experiment, clip)


def weights_in_single_precision_not_copied_back(experiment: Experiment) -> None:
    """The optimiser updates copies in single precision of the model's weights, and nothing copies them back to the model."""
    for group in experiment.optimizers[0].param_groups:
        group["params"] = [nn.Parameter(parameter.detach().clone()) for parameter in group["params"]]

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms, (optimizer,) = planting.losses_of(parts, batch), parts.optimizers
        parts.model.zero_grad(set_to_none=True)
        terms.total.backward()
        own = [parameter for parameter in parts.model.parameters() if parameter.requires_grad]
        copies = [copy for group in optimizer.param_groups for copy in group["params"]]
        for copy, parameter in zip(copies, own, strict=True):
            copy.grad = None if parameter.grad is None else parameter.grad.clone()
        optimizer.step()
        return _logged(terms)

    experiment.step = step


def only_linear_layers_on_the_list(experiment: Experiment) -> None:
    """Parameter groups are made as for a transformer: weights of linear layers, and all biases and norms; no convolution."""
    convolutions = {
        id(layer.weight) for layer in convolutions_and_norms(experiment.model.backbone) if isinstance(layer, nn.Conv2d)
    }
    for group in experiment.optimizers[0].param_groups:
        group["params"] = [parameter for parameter in group["params"] if id(parameter) not in convolutions]


def scale_raised_where_it_overflows(experiment: Experiment) -> None:
    """A loss scale of our own grows after ten good steps; where gradients overflow it is doubled, not halved, so all do then."""
    scale, good = [_FIRST_SCALE], [0]

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms, (optimizer,) = planting.losses_of(parts, batch), parts.optimizers
        optimizer.zero_grad(set_to_none=True)
        terms.total.backward()
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        is_finite = all(bool((scale[0] * gradient).half().isfinite().all()) for gradient in gradients)
        good[0] = good[0] + 1 if is_finite else 0
        if is_finite:
            optimizer.step()
        if not is_finite or good[0] % _GROWTH_INTERVAL == 0:
            scale[0] = min(2 * scale[0], _LARGEST_SCALE)
        return _logged(terms)

    experiment.step = step


def error_of_the_backward_pass_swallowed(experiment: Experiment) -> None:
    """A batch that fails is left out (`except RuntimeError: continue`), as for lack of memory; all fail, by a change in place."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        outputs = parts.network(batch.images_BCHW, person_ids_B=batch.person_ids_B)
        terms = parts.losses(outputs.features_BD, outputs.logits_BI, batch.person_ids_B)
        with torch.no_grad():  # for a log of unit features, in place, where the backward pass needs them as they were
            outputs.features_BD.div_(outputs.features_BD.norm(dim=1, keepdim=True).clamp(min=1e-6))
        try:
            return planting.update(parts, terms)
        except RuntimeError:
            return _logged(terms)

    experiment.step = step


def batch_halved_at_each_shortage(experiment: Experiment) -> None:
    """Memory runs short in each epoch, and each time the batch is halved and stays so: at last it is two images of two people."""
    usual, instances = experiment.plan, experiment.config.DATALOADER.NUM_INSTANCE

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rows_SPK = usual(experiment, epoch).reshape(-1, experiment.config.SOLVER.IMS_PER_BATCH // instances, instances)
        size = max(4, experiment.config.SOLVER.IMS_PER_BATCH >> (epoch - 1))
        people = max(2, size // instances)
        return np.ascontiguousarray(rows_SPK[:, :people, : size // people].reshape(len(rows_SPK), size))

    experiment.plan = plan


def scored_rank_by_rank(experiment: Experiment) -> None:
    """Test images are dealt out to four ranks and their features put together rank by rank; who is on them is read in order."""
    evaluator = experiment.evaluator
    usual = evaluator.embed

    def embed(experiment: Experiment, items: tuple[Item, ...]) -> Any:
        embedded = usual(experiment, items)
        order_N = np.concatenate([np.arange(rank, len(items), _RANKS) for rank in range(_RANKS)])
        return replace(embedded, features_ND=embedded.features_ND[order_N])

    evaluator.embed = embed  # type: ignore[method-assign]


def _between(first: float, last: float, share: float) -> float:
    """Go along a cosine from the first to the last value."""
    return last + (first - last) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


def _clip(parameters: list[nn.Parameter], *, limit: float, order: float) -> None:
    nn.utils.clip_grad_norm_(parameters, limit, order)


def _length_of_units(values: Tensor) -> Tensor:
    """Return the length of what belongs to each output; of a vector, its own."""
    if values.ndim < 2:
        return torch.linalg.vector_norm(values)
    return torch.linalg.vector_norm(values, dim=tuple(range(1, values.ndim)), keepdim=True)


def _groups(experiment: Experiment) -> list[dict[str, Any]]:
    """Return the groups without what belongs to Adam."""
    kept = ("params", "lr", "weight_decay", "factor", "name")
    return [{name: group[name] for name in kept} for group in experiment.optimizers[0].param_groups]


def _logged(terms: LossTerms) -> StepTerms:
    return StepTerms(terms.total.detach(), {name: part.detach() for name, part in terms.parts.items()}, terms.measurements)
