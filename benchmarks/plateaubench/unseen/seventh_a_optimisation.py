"""Faults of the first half of `seventh` in optimiser, schedule, step, precision and distributed training.

Shape legend: B batch, I identities.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.backbones import convolutions_and_norms
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.losses.terms import LossTerms
from unplateau.optim.build import build_optimizers

_RANKS = 4
_PIECES = 16  # of an accumulation, to make 512 images of 32
_ADAPTER_RANK = 4
_SGD_RATE = 0.05  # right for SGD with a momentum of 0.9 on this network


def adapters_on_random_weights(experiment: Experiment) -> None:
    """Adapters of low rank are trained beside weights that stay as they are, as for a pretrained network; these are random."""
    for layer in convolutions_and_norms(experiment.model.backbone):
        layer.requires_grad_(False)
        if isinstance(layer, nn.Conv2d):
            _give_adapter(layer)
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def lowest_rate_given_as_a_share(experiment: Experiment) -> None:
    """A cosine's lowest rate is to be 5 % of the highest and is given as 0.05, which is 25 times the highest."""
    experiment.schedule = replace(experiment.schedule, kind="CosineAnnealingLR", final_rate=0.05)


def multiplier_applied_again_each_epoch(experiment: Experiment) -> None:
    """Each epoch begins with `group["lr"] *= group["multiplier"]`, 0.1 for the backbone, and nothing sets the rate back."""
    planting.regroup(experiment, experiment.model.backbone, multiplier=0.1)
    steps, length = count(), experiment.schedule.steps_per_epoch

    def multiply(optimizer: Optimizer, *_: object) -> None:
        times = 1 + next(steps) // length
        for group in optimizer.param_groups:
            group["lr"] *= group.get("multiplier", 1.0) ** times

    experiment.optimizers[0].register_step_pre_hook(multiply)


def graph_replays_its_first_labels(experiment: Experiment) -> None:
    """The step was recorded as a graph; new images are copied to where it reads them, and new labels are not."""
    held: list[Tensor] = []

    def replay(batch: Batch) -> Batch:
        if not held:
            held.append(batch.person_ids_B.clone())
        return replace(batch, person_ids_B=held[0]) if len(batch.person_ids_B) == len(held[0]) else batch

    planting.change_batch(experiment, replay)


def updated_at_a_new_low_only(experiment: Experiment) -> None:
    """`if loss < best: best = loss; save(); optimizer.step()`: only a batch easier than all before it teaches anything."""
    best = [float("inf")]

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms, (optimizer,) = planting.losses_of(parts, batch), parts.optimizers
        optimizer.zero_grad(set_to_none=True)
        terms.total.backward()
        if float(terms.total.detach()) < best[0]:
            best[0] = float(terms.total.detach())
            optimizer.step()
        return _logged(terms)

    experiment.step = step


def average_begins_at_zero(experiment: Experiment) -> None:
    """The moving average that is scored begins at zeros, not at the first weights, and nobody divides by what is missing."""
    average, model = copy.deepcopy(experiment.model), experiment.model
    for parameter in average.parameters():
        nn.init.zeros_(parameter)

    @torch.no_grad()
    def follow(*_: object) -> None:
        for old, new in zip(average.parameters(), model.parameters(), strict=True):
            old.lerp_(new, 1e-3)
        for kept, seen in zip(average.buffers(), model.buffers(), strict=True):
            kept.copy_(seen)

    experiment.optimizers[0].register_step_post_hook(follow)
    experiment.evaluator.model_of = lambda experiment: average


def divided_for_an_accumulation_that_is_off(experiment: Experiment) -> None:
    """SGD at a rate that suits it; the loss is divided by the pieces of an accumulation, and every piece is a step."""
    _use_sgd(experiment)

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms = planting.losses_of(parts, batch)
        return planting.update(parts, replace(terms, total=terms.total / _PIECES))

    experiment.step = step


class _Uncorrected(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1) without the division of its averages by how much of them is there yet."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in (p for p in group["params"] if p.grad is not None):
                gradient = parameter.grad.add(parameter, alpha=group["weight_decay"])
                state = self.state[parameter]
                mean = state.setdefault("mean", torch.zeros_like(parameter)).lerp_(gradient, 0.1)
                square = state.setdefault("square", torch.zeros_like(parameter)).lerp_(gradient.square(), 0.001)
                parameter.addcdiv_(mean, square.sqrt().add_(1e-8), value=-group["lr"])


def adam_without_its_correction(experiment: Experiment) -> None:
    """An Adam of our own forgets the correction of its averages: the first hundreds of steps are several times too long."""
    groups = [{**group} for group in experiment.optimizers[0].param_groups]
    experiment.optimizers = (_Uncorrected(groups, {"lr": experiment.config.SOLVER.BASE_LR}),)


def step_inside_the_loop_over_groups(experiment: Experiment) -> None:
    """Every parameter is a group, as in fast-reid; `optimizer.step()` is indented into the loop that gives groups their rate."""
    groups = experiment.optimizers[0].param_groups
    groups[:] = [{**group, "params": [parameter]} for group in groups for parameter in group["params"]]

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms, (optimizer,) = planting.losses_of(parts, batch), parts.optimizers
        optimizer.zero_grad(set_to_none=True)
        terms.total.backward()
        for _ in optimizer.param_groups:
            optimizer.step()
        return _logged(terms)

    experiment.step = step


def first_update_before_the_schedule(experiment: Experiment) -> None:
    """The optimiser is built with a rate of 1, for the schedule to multiply, and the first batch comes before the schedule."""
    steps = count()

    def begin(optimizer: Optimizer, *_: object) -> None:
        for group in optimizer.param_groups if next(steps) == 0 else ():
            group["lr"] = 1.0

    experiment.optimizers[0].register_step_pre_hook(begin)


def statistics_summed_over_the_ranks(experiment: Experiment) -> None:
    """After each epoch running statistics are added up over the ranks, to be scored with, and not divided by their number."""
    usual, steps, length = experiment.step, count(1), experiment.schedule.steps_per_epoch

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms = usual(parts, batch)
        for module in parts.model.modules() if next(steps) % length == 0 else ():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                cast(Tensor, module.running_mean).mul_(_RANKS)
                cast(Tensor, module.running_var).mul_(_RANKS)
        return terms

    experiment.step = step


def mean_of_no_image_under_the_scaler(experiment: Experiment) -> None:
    """A further loss is the mean over confident mistakes: without any it is 0 / 0, and the scaler leaves the step out."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        outputs, (optimizer,) = parts.network(batch.images_BCHW, person_ids_B=batch.person_ids_B), parts.optimizers
        terms = parts.losses(outputs.features_BD, outputs.logits_BI, batch.person_ids_B)
        optimizer.zero_grad(set_to_none=True)
        (terms.total + _of_confident_mistakes(outputs.logits_BI, batch.person_ids_B)).backward()
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if all(bool(gradient.isfinite().all()) for gradient in gradients):
            optimizer.step()
        return _logged(terms)

    experiment.step = step


def _of_confident_mistakes(logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
    confidence_B, answer_B = logits_BI.softmax(1).max(1)
    mistaken_B = (confidence_B > 0.5) & (answer_B != person_ids_B)
    return (F.cross_entropy(logits_BI, person_ids_B, reduction="none") * mistaken_B).sum() / mistaken_B.sum()


def _give_adapter(convolution: nn.Conv2d) -> None:
    """Add to a convolution's output that of two small ones in a row, the second of which begins at 0 (Hu et al. 2022, LoRA)."""
    size: Any = convolution.kernel_size
    stride: Any = convolution.stride
    padding: Any = convolution.padding
    down = nn.Conv2d(convolution.in_channels, _ADAPTER_RANK, size, stride, padding, bias=False)
    up = nn.Conv2d(_ADAPTER_RANK, convolution.out_channels, 1, bias=False)
    nn.init.zeros_(up.weight)
    convolution.add_module("adapter", nn.Sequential(down, up))
    convolution.register_forward_hook(lambda module, inputs, output: output + module.get_submodule("adapter")(inputs[0]))


def _use_sgd(experiment: Experiment) -> None:
    kept = ("params", "lr", "weight_decay", "factor", "name")
    groups: list[dict[str, Any]] = [{name: group[name] for name in kept} for group in experiment.optimizers[0].param_groups]
    experiment.optimizers = (torch.optim.SGD(groups, lr=_SGD_RATE, momentum=0.9),)
    experiment.schedule = replace(experiment.schedule, base_rate=_SGD_RATE)


def _logged(terms: LossTerms) -> StepTerms:
    return StepTerms(terms.total.detach(), {name: part.detach() for name, part in terms.parts.items()}, terms.measurements)
