"""Faults of `sixth_b` in samplers and losses.

Shape legend: B batch, N images, M images of a memory, D feature dim, I identities, L losses, S steps of an epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.losses.pairs import mean_of_valid, pairs_of
from unplateau.losses.terms import LossTerms
from unplateau.losses.triplet import hardest_distances
from unplateau.models.reid import Outputs
from unplateau.optim.build import build_optimizers

_MARGIN = 0.3
_RATE_OF_BALANCE = 0.025  # what GradNorm's authors give the weights of their losses
_MEMORY = 256  # images
_BUFFER = 16  # images


def groups_dealt_across_batches(experiment: Experiment) -> None:
    """The K images of a person are a row of a table, and the epoch reads the table column by column (`groups.T.ravel()`)."""
    usual, instances = experiment.plan, experiment.config.DATALOADER.NUM_INSTANCE

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rows_SB = usual(experiment, epoch)
        return np.ascontiguousarray(rows_SB.reshape(-1, instances).T.reshape(rows_SB.shape))

    experiment.plan = plan


def rest_of_the_batch_is_image_zero(experiment: Experiment) -> None:
    """A batch is an array of zeros that gets one image of each person: its other places mean the first image of the set."""
    usual, instances = experiment.plan, experiment.config.DATALOADER.NUM_INSTANCE

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rows_SB = usual(experiment, epoch)
        filled_SB = np.zeros_like(rows_SB)
        people = rows_SB.shape[1] // instances
        filled_SB[:, :people] = rows_SB[:, ::instances]
        return filled_SB

    experiment.plan = plan


def places_in_a_part_taken_for_places_in_all(experiment: Experiment) -> None:
    """The sampler is built from every fourth image, and its numbers are looked up in the whole set: most people never come."""
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        steps = len(usual(experiment, epoch))
        part = replace(experiment, labels_N=experiment.labels_N[::4], train=experiment.train[::4])
        plans = [usual(part, 1000 * epoch + number) for number in range(steps)]
        return np.concatenate(plans)[:steps]

    experiment.plan = plan


def shuffled_in_a_small_buffer(experiment: Experiment) -> None:
    """A stream of the sorted files is shuffled in a buffer smaller than a batch: batches come nearly as the files lie."""

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([experiment.config.SEED, epoch, 61])
        size, rows, drawn = experiment.config.SOLVER.IMS_PER_BATCH, list(range(len(experiment.train))), []
        buffer, rows = rows[:_BUFFER], rows[_BUFFER:]
        while buffer:
            place = int(rng.integers(len(buffer)))
            drawn.append(buffer[place])
            if rows:
                buffer[place] = rows.pop(0)
            else:
                del buffer[place]
        return np.array(drawn[: len(drawn) // size * size]).reshape(-1, size)

    experiment.plan = plan


def epoch_never_told_to_the_sampler(experiment: Experiment) -> None:
    """`set_epoch` is not called: every epoch is the first one over again, batch by batch."""
    usual = experiment.plan
    experiment.plan = lambda experiment, epoch: usual(experiment, 1)


class _Balance(nn.Module):
    """A learned weight for each loss."""

    def __init__(self, losses: int) -> None:
        super().__init__()
        self.weights_L = nn.Parameter(torch.ones(losses))


def weights_of_losses_learned_freely(experiment: Experiment) -> None:
    """The weights of the losses are parameters, and nothing holds them up: they go down, and through zero."""
    experiment.model.add_module("balance", _Balance(len(experiment.losses.terms)))
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)
    factor = _RATE_OF_BALANCE / experiment.config.SOLVER.BASE_LR
    planting.regroup(experiment, experiment.model.get_submodule("balance"), factor=factor, weight_decay=0.0)

    def weighted(parts: Parts, terms: LossTerms) -> Tensor:
        return (parts.model.get_parameter("balance.weights_L") * torch.stack([*terms.parts.values()])).sum()

    _change_total(experiment, weighted)


class _Reversed(torch.autograd.Function):
    """The identity, whose gradient is turned round and multiplied."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.factor * gradients[0], None


def cameras_unlearned_too_strongly(experiment: Experiment) -> None:
    """A camera classifier behind a gradient reversal, which should rise slowly to 0.1, has a factor of 10 from the first step."""
    experiment.model.add_module("cameras", nn.Linear(experiment.model.feature_dim, 6))
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)

    def confusion(parts: Parts, batch: Batch, outputs: Outputs) -> Tensor:
        reversed_BD = _Reversed.apply(outputs.features_BD, 10.0)
        return F.cross_entropy(parts.model.get_submodule("cameras")(reversed_BD), batch.camera_ids_B)

    planting.add_loss(experiment, confusion)


def root_of_the_distances_forgotten(experiment: Experiment) -> None:
    """Distances of the triplet loss are squared, of features of any length, under the margin of plain ones."""

    def loss(features_BD: Tensor, _: Tensor, person_ids_B: Tensor) -> Tensor:
        pairs = pairs_of(person_ids_B)
        d_ap_B, d_an_B = hardest_distances(features_BD, pairs)
        return mean_of_valid(F.relu(d_ap_B.square() - d_an_B.square() + _MARGIN), pairs)

    planting.change_loss(experiment, "triplet", loss)


def softmax_of_the_targets_too(experiment: Experiment) -> None:
    """A divergence of two distributions takes the softmax of one-hot labels too: the right answer is hardly above others."""

    def divergence(_: Tensor, logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
        target_BI = F.one_hot(person_ids_B, logits_BI.shape[1]).float().softmax(1)
        return F.kl_div(logits_BI.log_softmax(1), target_BI, reduction="batchmean")

    planting.change_loss(experiment, "cross_entropy", divergence)


def squared_errors_of_one_hot_labels(experiment: Experiment) -> None:
    """Probabilities are compared with one-hot labels by a mean of squares: among many people it is near zero from the start."""

    def squares(_: Tensor, logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
        return F.mse_loss(logits_BI.softmax(1), F.one_hot(person_ids_B, logits_BI.shape[1]).float())

    planting.change_loss(experiment, "cross_entropy", squares)


def loss_clamped_against_jumps(experiment: Experiment) -> None:
    """The cross-entropy is clamped to 1 at most, against jumps; above that a clamp has no gradient, and above it all begins."""
    term = experiment.losses.terms["cross_entropy"]
    term.register_forward_hook(lambda module, inputs, term: replace(term, value=term.value.clamp(max=1.0)))


def first_of_the_batch_is_the_positive(experiment: Experiment) -> None:
    """The contrastive loss used as metric loss has class 0 for target, as where the positive stands first; here anybody does."""

    def contrast(features_BD: Tensor, _: Tensor, person_ids_B: Tensor) -> Tensor:
        unit_BD = F.normalize(features_BD)
        return F.cross_entropy(unit_BD @ unit_BD.T / 0.05, torch.zeros_like(person_ids_B))

    planting.change_loss(experiment, "triplet", contrast)


def memory_of_labels_a_batch_behind(experiment: Experiment) -> None:
    """Triplets are mined in a memory of the last batches, whose labels are written before the new ones are there."""
    model = experiment.model
    model.register_buffer("memory_MD", torch.zeros(_MEMORY, model.feature_dim), persistent=False)
    model.register_buffer("memory_labels_M", torch.full((_MEMORY,), -1), persistent=False)
    model.register_buffer("late_labels_B", torch.full((experiment.config.SOLVER.IMS_PER_BATCH,), -1), persistent=False)

    def step(parts: Parts, batch: Batch) -> StepTerms:
        outputs = parts.network(batch.images_BCHW, person_ids_B=batch.person_ids_B)
        terms = parts.losses(outputs.features_BD, outputs.logits_BI, batch.person_ids_B)
        _remember(parts.model, outputs.features_BD.detach(), batch.person_ids_B)
        mined = _triplet_in_memory(outputs.features_BD, batch.person_ids_B, parts.model)
        total = terms.total - terms.parts["triplet"] + mined
        return planting.update(parts, replace(terms, total=total, parts={**terms.parts, "triplet": mined}))

    experiment.step = step


@torch.no_grad()
def _remember(model: Any, features_BD: Tensor, person_ids_B: Tensor) -> None:
    """Put features in front of the memory, and the labels of the batch before in front of its labels."""
    model.memory_MD = torch.cat([features_BD, model.memory_MD])[:_MEMORY]
    model.memory_labels_M = torch.cat([model.late_labels_B, model.memory_labels_M])[:_MEMORY]
    model.late_labels_B = person_ids_B


def _triplet_in_memory(features_BD: Tensor, person_ids_B: Tensor, model: Any) -> Tensor:
    """Return the batch-hard triplet loss of the batch's images against those of the memory."""
    distances_BM = (features_BD[:, None] - model.memory_MD).square().sum(2).clamp(min=1e-6).sqrt()
    same_BM, known_M = person_ids_B[:, None] == model.memory_labels_M, model.memory_labels_M >= 0
    d_ap_B = torch.where(same_BM, distances_BM, 0.0).amax(1)
    d_an_B = torch.where(~same_BM & known_M, distances_BM, torch.inf).amin(1)
    valid_B = same_BM.any(1) & (~same_BM & known_M).any(1)
    excess_B = torch.where(valid_B, d_ap_B - torch.where(valid_B, d_an_B, 0.0) + _MARGIN, 0.0)
    return F.relu(excess_B).sum() / valid_B.sum().clamp(min=1)


def _change_total(experiment: Experiment, total_of: Callable[[Parts, LossTerms], Tensor]) -> None:
    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms = planting.losses_of(parts, batch)
        return planting.update(parts, replace(terms, total=total_of(parts, terms)))

    experiment.step = step
