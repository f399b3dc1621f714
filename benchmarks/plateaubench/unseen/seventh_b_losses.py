"""Faults of `seventh_b` in samplers and losses.

Shape legend: B batch, N images, S steps of an epoch, D feature dim, I identities.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms

_MARGIN = 0.3
_TEMPERATURE = 0.07  # of the supervised contrastive loss


def lists_of_images_used_up(experiment: Experiment) -> None:
    """The sampler pops images off its lists and never fills them again: after an epoch a person is their last image, K times."""
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rows_SB = usual(experiment, epoch)
        if epoch == 1:
            return rows_SB
        last_I = np.zeros(experiment.labels_N.max() + 1, dtype=np.int64)
        last_I[experiment.labels_N] = np.arange(len(experiment.labels_N))  # of several that are written, the last one stays
        return last_I[experiment.labels_N[rows_SB]]

    experiment.plan = plan


def windows_moved_by_one(experiment: Experiment) -> None:
    """Batches are cut out as `order[i : i + B]`, where i goes up by 1 and not by B: hardly more than one batch is ever seen."""
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rows_SB = usual(experiment, 1)  # the order is drawn once, where the sampler is made
        order, (steps, size) = rows_SB.ravel(), rows_SB.shape
        return np.stack([order[step : step + size] for step in range(steps)])

    experiment.plan = plan


def triplet_subtracted(experiment: Experiment) -> None:
    """The total is `cross_entropy - triplet`: the farther apart a person's images are, the better."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms = planting.losses_of(parts, batch)
        return planting.update(parts, replace(terms, total=terms.parts["cross_entropy"] - terms.parts["triplet"]))

    experiment.step = step


def likelihood_of_probabilities(experiment: Experiment) -> None:
    """The model ends in a softmax, and the loss is `F.nll_loss`, which wants its logarithm: minus the probability itself."""
    planting.change_loss(
        experiment, "cross_entropy", lambda _, logits_BI, person_ids_B: F.nll_loss(logits_BI.softmax(1), person_ids_B)
    )


def memory_times_its_temperature(experiment: Experiment) -> None:
    """People are told apart by a memory of a feature each, as by clusters; cosines are multiplied by the temperature."""
    size = (experiment.num_identities, experiment.model.feature_dim)
    term = experiment.losses.terms["cross_entropy"]
    term.register_buffer("memory_ID", F.normalize(torch.randn(size, generator=torch.Generator().manual_seed(72))))

    def contrast(memory_ID: Tensor, features_BD: Tensor, person_ids_B: Tensor) -> Tensor:
        unit_BD = F.normalize(features_BD)
        loss = F.cross_entropy(_TEMPERATURE * (unit_BD @ memory_ID.clone().T), person_ids_B)
        if torch.is_grad_enabled():
            memory_ID[person_ids_B] = F.normalize(0.2 * memory_ID[person_ids_B] + 0.8 * unit_BD.detach())
        return loss

    term.register_forward_hook(lambda module, inputs, term: replace(term, value=contrast(module.memory_ID, inputs[0], inputs[2])))


def groups_of_another_size(experiment: Experiment) -> None:
    """P and K are exchanged where the metric loss numbers a batch: every eight images in a row are a person, and K is 4."""

    def numbered(inputs: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, ...]:
        return (*inputs[:2], torch.arange(len(inputs[2])) // 8)

    experiment.losses.terms["triplet"].register_forward_pre_hook(lambda module, inputs: numbered(inputs))


def contrast_without_labels(experiment: Experiment) -> None:
    """A supervised contrastive loss of two views is not given the labels: a person's other images are driven away."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        images_BCHW, person_ids_B = torch.cat([batch.images_BCHW, batch.images_BCHW.flip(3)]), batch.person_ids_B.repeat(2)
        outputs = parts.network(images_BCHW, person_ids_B=person_ids_B)
        terms = parts.losses(outputs.features_BD, outputs.logits_BI, person_ids_B)
        contrast = _contrast_of_views(outputs.features_BD)
        total = terms.total - terms.parts["triplet"] + contrast
        return planting.update(parts, replace(terms, total=total, parts={**terms.parts, "triplet": contrast}))

    experiment.step = step


def _contrast_of_views(features_BD: Tensor) -> Tensor:
    """Return the contrastive loss of a batch whose second half shows the images of the first half again."""
    unit_BD, size = F.normalize(features_BD), len(features_BD)
    logits_BB = (unit_BD @ unit_BD.T / _TEMPERATURE).masked_fill(torch.eye(size, dtype=torch.bool), -torch.inf)
    return F.cross_entropy(logits_BB, torch.arange(size).roll(size // 2))


def everybody_is_a_positive(experiment: Experiment) -> None:
    """A pair loss compares a row of labels with a row (`ids[None] == ids[None]`): every pair is a positive one."""

    def pair_loss(features_BD: Tensor, _: Tensor, person_ids_B: Tensor) -> Tensor:
        same_BB = (person_ids_B[None] == person_ids_B[None]).expand(len(features_BD), -1)
        squares_BB = (features_BD[:, None] - features_BD).square().sum(2)
        distances_BB = squares_BB.clamp(min=1e-6).sqrt()
        return torch.where(same_BB, squares_BB, F.relu(_MARGIN - distances_BB).square()).mean()

    planting.change_loss(experiment, "triplet", pair_loss)


def total_made_of_numbers(experiment: Experiment) -> None:
    """The losses are added up as numbers (`.item()`), and a tensor that asks for a gradient is made of the sum."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms = planting.losses_of(parts, batch)
        return planting.update(parts, replace(terms, total=torch.tensor(terms.total.item(), requires_grad=True)))

    experiment.step = step


def teacher_weighted_for_a_temperature(experiment: Experiment) -> None:
    """A mean teacher counts by the square of a temperature of 20, and nobody divides the logits by 20 any more."""
    experiment.model.add_module("teacher", copy.deepcopy(experiment.model).requires_grad_(False))

    def step(parts: Parts, batch: Batch) -> StepTerms:
        outputs = parts.network(batch.images_BCHW, person_ids_B=batch.person_ids_B)
        terms = parts.losses(outputs.features_BD, outputs.logits_BI, batch.person_ids_B)
        teacher = parts.model.get_submodule("teacher")
        _follow(teacher, parts.model)
        with torch.no_grad():
            taught_BI = teacher(batch.images_BCHW, person_ids_B=batch.person_ids_B).logits_BI.softmax(1)
        distance = F.kl_div(outputs.logits_BI.log_softmax(1), taught_BI, reduction="batchmean")
        return planting.update(parts, replace(terms, total=terms.total + 20**2 * distance))

    experiment.step = step


@torch.no_grad()
def _follow(teacher: nn.Module, model: nn.Module) -> None:
    """Move the teacher's weights a hundredth of the way to the model's."""
    own = dict(model.named_parameters())
    for name, weight in teacher.named_parameters():
        weight.lerp_(own[name], 0.01)


def losses_divided_by_themselves(experiment: Experiment) -> None:
    """Losses are made equally large by dividing each by its own value: the smaller a loss, the more it pulls."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms = planting.losses_of(parts, batch)
        shares = [part / (part.detach() + 1e-8) for part in terms.parts.values()]
        return planting.update(parts, replace(terms, total=torch.stack(shares).sum()))

    experiment.step = step


def features_for_logits(experiment: Experiment) -> None:
    """The cross-entropy gets `outputs[0]`, which are the features; there are more of them than people, so nothing complains."""
    term = experiment.losses.terms["cross_entropy"]
    term.register_forward_pre_hook(lambda module, inputs: (inputs[0], inputs[0], inputs[2]))
