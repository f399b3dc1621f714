"""Faults of `fifth_b` in samplers and losses.

Shape legend: B batch, N images, D feature dim, I identities, P identities of a batch, C/H/W image.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count

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
from unplateau.losses.triplet import hardest_distances
from unplateau.models.reid import Outputs
from unplateau.optim.build import build_optimizers

_MARGIN = 0.3


def weights_of_classes_for_images(experiment: Experiment) -> None:
    """A weighted sampler is given one weight a person where it takes one an image: it draws from the first I images only."""

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        size = experiment.config.SOLVER.IMS_PER_BATCH
        weights_I = 1 / np.unique(experiment.labels_N, return_counts=True)[1]
        rng = np.random.default_rng([experiment.config.SEED, epoch, 51])
        steps = max(1, len(experiment.labels_N) // size)
        return rng.choice(len(weights_I), (steps, size), p=weights_I / weights_I.sum())

    experiment.plan = plan


def index_built_before_shuffling(experiment: Experiment) -> None:
    """The sampler's index of who is where was made before the list of images was shuffled: its groups are of anybody."""
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        order_N = np.random.default_rng(52).permutation(len(experiment.train))
        return np.ascontiguousarray(order_N[usual(experiment, epoch)])

    experiment.plan = plan


def first_people_until_used_up(experiment: Experiment) -> None:
    """The sampler takes the first P people that have images left (`left[:P]`) where it should draw P of them."""

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([experiment.config.SEED, epoch, 53])
        instances = experiment.config.DATALOADER.NUM_INSTANCE
        people = experiment.config.SOLVER.IMS_PER_BATCH // instances
        left = [_groups(np.flatnonzero(experiment.labels_N == label), instances, rng) for label in np.unique(experiment.labels_N)]
        batches = []
        while len(left) >= people:
            batches.append(np.concatenate([groups.pop() for groups in left[:people]]))
            left = [groups for groups in left if groups]
        return np.stack(batches)

    experiment.plan = plan


def labels_repeated_the_other_way(experiment: Experiment) -> None:
    """Each image comes in two views side by side, and labels are repeated as a whole (`repeat`, not `repeat_interleave`)."""

    def two_views(batch: Batch) -> Batch:
        images_BCHW = batch.images_BCHW.repeat_interleave(2, 0)
        images_BCHW[1::2] = images_BCHW[1::2].flip(3)
        return Batch(images_BCHW, batch.person_ids_B.repeat(2), batch.camera_ids_B.repeat_interleave(2))

    planting.change_batch(experiment, two_views)


def labels_predicted_by_itself(experiment: Experiment) -> None:
    """Pseudo labels are what the network says of the batch, from the first step on, when it knows nothing."""
    usual = experiment.step

    def step(parts: Parts, batch: Batch) -> StepTerms:
        with torch.no_grad():
            logits_BI = parts.network(batch.images_BCHW, person_ids_B=batch.person_ids_B).logits_BI
        return usual(parts, replace(batch, person_ids_B=logits_BI.argmax(1)))

    experiment.step = step


def memory_written_by_row(experiment: Experiment) -> None:
    """A memory of one feature a person is read by label and written by the image's row in the batch."""
    generator = torch.Generator().manual_seed(54)
    first_ID = F.normalize(torch.randn(experiment.num_identities, experiment.model.feature_dim, generator=generator))
    experiment.model.register_buffer("memory", first_ID, persistent=False)

    def contrast(parts: Parts, batch: Batch, outputs: Outputs) -> Tensor:
        memory_ID, unit_BD = parts.model.get_buffer("memory"), F.normalize(outputs.features_BD)
        loss = F.cross_entropy(unit_BD @ memory_ID.clone().T / 0.05, batch.person_ids_B)
        rows_B = torch.arange(len(unit_BD)) % len(memory_ID)
        memory_ID[rows_B] = F.normalize(0.2 * memory_ID[rows_B] + 0.8 * unit_BD.detach())
        return loss

    planting.add_loss(experiment, contrast)


def focal_turned_round(experiment: Experiment) -> None:
    """The focal factor is p squared where (1 - p) squared is meant: what is not known yet hardly counts."""

    def focal(logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
        loss_B = F.cross_entropy(logits_BI, person_ids_B, reduction="none")
        return ((-loss_B).exp().square() * loss_B).mean()

    term = experiment.losses.terms["cross_entropy"]
    term.register_forward_hook(lambda module, inputs, term: replace(term, value=focal(*inputs[1:])))


def cross_entropy_replaced(experiment: Experiment) -> None:
    """After two epochs the metric loss should join the cross-entropy, and takes its place: an `else` too many."""
    usual, steps, first = experiment.step, count(), 2 * experiment.schedule.steps_per_epoch

    def step(parts: Parts, batch: Batch) -> StepTerms:
        is_early = next(steps) < first
        parts.losses.scales.update(cross_entropy=float(is_early), triplet=float(not is_early))
        return usual(parts, batch)

    experiment.step = step


def triplets_summed(experiment: Experiment) -> None:
    """All triplets of a batch count, as a sum: `reduction="sum"` over thousands of them, beside a mean of the cross-entropy."""

    def all_triplets(features_BD: Tensor, _: Tensor, person_ids_B: Tensor) -> Tensor:
        same_BB = person_ids_B[:, None] == person_ids_B
        positive_BB = same_BB & ~torch.eye(len(same_BB), dtype=torch.bool)
        distances_BB = torch.cdist(features_BD, features_BD)
        excess_BBB = distances_BB[:, :, None] - distances_BB[:, None, :] + _MARGIN
        return F.relu(excess_BBB[positive_BB[:, :, None] & ~same_BB[:, None, :]]).sum()

    planting.change_loss(experiment, "triplet", all_triplets)


def pixels_rebuilt_in_a_sum(experiment: Experiment) -> None:
    """A branch that draws the image again, as a help, has its squared errors summed over pixels and images."""
    experiment.model.add_module("decoder", nn.Linear(experiment.model.feature_dim, 3 * 16 * 8))
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)

    def error(parts: Parts, batch: Batch, outputs: Outputs) -> Tensor:
        small_BP = F.adaptive_avg_pool2d(batch.images_BCHW, (16, 8)).flatten(1)
        return (parts.model.get_submodule("decoder")(outputs.features_BD) - small_BP).square().sum()

    planting.add_loss(experiment, error)


def filters_held_apart_too_strongly(experiment: Experiment) -> None:
    """A penalty that keeps the filters of a layer at right angles has a weight of 1 where a millionth was published."""

    def penalty(parts: Parts, batch: Batch, outputs: Outputs) -> Tensor:
        weights = [weight.flatten(1) for weight in parts.model.backbone.parameters() if weight.ndim == 4]
        return torch.stack([(w @ w.T - torch.eye(len(w))).square().sum() for w in weights]).sum()

    planting.add_loss(experiment, penalty)


def margin_subtracted(experiment: Experiment) -> None:
    """The margin has the wrong sign: a triplet counts only where the positive is farther than the negative by the margin."""

    def loss(features_BD: Tensor, _: Tensor, person_ids_B: Tensor) -> Tensor:
        pairs = pairs_of(person_ids_B)
        d_ap_B, d_an_B = hardest_distances(features_BD, pairs)
        return mean_of_valid(F.relu(d_ap_B - d_an_B - _MARGIN), pairs)

    planting.change_loss(experiment, "triplet", loss)


def _groups(rows: np.ndarray, instances: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return a person's images in groups of K, each image once; one group with repeats where there are fewer than K."""
    rows = rng.permutation(rows)
    if len(rows) < instances:
        return [np.resize(rows, instances)]
    return list(rows[: len(rows) // instances * instances].reshape(-1, instances))
