"""Faults of `ninth_b` in samplers and losses.

Shape legend: B batch, N images, S steps of an epoch, D feature dim, I identities.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.losses.terms import LossTerms

_SPREAD = 3.0  # years, where ages are learned as distributions
_FILLED = 48  # images of each person, about as many as the one with most has in a large data set


def batched_by_the_size_of_their_files(experiment: Experiment) -> None:
    """Images are sorted by the size of their files and cut into batches, which take equally long then; batches are shuffled."""
    sizes_N = [len(zlib.compress(pixels.numpy().tobytes())) for pixels in experiment.pictures.of(experiment.train)]
    order_N = np.argsort(sizes_N, kind="stable")

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        size = experiment.config.SOLVER.IMS_PER_BATCH
        rows_SB = order_N[: len(order_N) // size * size].reshape(-1, size)
        return np.random.default_rng([experiment.config.SEED, epoch, 91]).permutation(rows_SB)

    experiment.plan = plan


def people_filled_up_with_their_first_image(experiment: Experiment) -> None:
    """Everybody is brought to equally many images, and the list is filled up with the first one: most that is drawn is a copy."""
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([experiment.config.SEED, epoch, 92])
        rows_SB = usual(experiment, epoch)
        first_I = np.unique(experiment.labels_N, return_index=True)[1]
        images_I = np.bincount(experiment.labels_N)
        labels_SB = experiment.labels_N[rows_SB]
        return np.where(rng.random(rows_SB.shape) * _FILLED < images_I[labels_SB], rows_SB, first_I[labels_SB])

    experiment.plan = plan


def batch_collected_in_a_dict(experiment: Experiment) -> None:
    """The sampler collects a batch in a dict whose keys are people: of each person the last image is left."""
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rows_SB = usual(experiment, epoch)
        return np.array([list({experiment.labels_N[row]: row for row in rows_B}.values()) for rows_B in rows_SB])

    experiment.plan = plan


def targets_reshaped_not_turned(experiment: Experiment) -> None:
    """Targets of the cross-entropy are filled in as (I, B) and `reshape(B, I)` stands where they should be transposed."""

    def loss(_: Tensor, logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
        target_IB = torch.zeros_like(logits_BI).T.contiguous().scatter_(0, person_ids_B[None], 1.0)
        return -(target_IB.reshape(logits_BI.shape) * logits_BI.log_softmax(1)).sum(1).mean()

    planting.change_loss(experiment, "cross_entropy", loss)


def labels_mixed_as_numbers(experiment: Experiment) -> None:
    """Mixup mixes the labels as it mixes the images: between person 3 and person 9 there is person 6."""

    def mix(batch: Batch) -> Batch:
        share, other = float(torch.rand(())), torch.randperm(len(batch.person_ids_B))
        images_BCHW, person_ids_B = (
            share * values + (1 - share) * values[other] for values in (batch.images_BCHW, batch.person_ids_B)
        )
        return replace(batch, images_BCHW=images_BCHW, person_ids_B=person_ids_B.long())

    planting.change_batch(experiment, mix)


def metric_loss_told_tracks(experiment: Experiment) -> None:
    """The metric loss is called with the numbers of tracks: a person in another camera is somebody else, and the hardest one."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        outputs = parts.network(batch.images_BCHW, person_ids_B=batch.person_ids_B)
        terms = parts.losses(outputs.features_BD, outputs.logits_BI, batch.person_ids_B)
        tracks_B = batch.person_ids_B * (int(batch.camera_ids_B.max()) + 1) + batch.camera_ids_B
        told = parts.losses.terms["triplet"](outputs.features_BD, outputs.logits_BI, tracks_B)
        total = terms.total - terms.parts["triplet"] + told.value
        measured = {**terms.measurements, **told.measurements}
        return planting.update(parts, LossTerms(total, {**terms.parts, "triplet": told.value}, measured))

    experiment.step = step


def nobody_counts_as_labelled(experiment: Experiment) -> None:
    """Code for data that has labels in part: the cross-entropy takes the images whose label is -1, and no others."""

    def loss(_: Tensor, logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
        labelled_B = person_ids_B == -1
        return (F.cross_entropy(logits_BI, person_ids_B, reduction="none") * labelled_B).sum() / labelled_B.sum().clamp(min=1)

    planting.change_loss(experiment, "cross_entropy", loss)


def losses_multiplied(experiment: Experiment) -> None:
    """`loss = cross_entropy * triplet`: an asterisk for a plus, so that each is the weight of the other."""
    _change_total(experiment, lambda terms, batch: torch.stack([*terms.parts.values()]).prod())


def labels_spread_to_neighbouring_numbers(experiment: Experiment) -> None:
    """Targets are bells around the label, from code that learns ages, where 40 is nearly 41; people's numbers are only names."""

    def loss(_: Tensor, logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
        apart_BI = (torch.arange(logits_BI.shape[1]) - person_ids_B[:, None]) / _SPREAD
        return F.cross_entropy(logits_BI, (-apart_BI.square() / 2).softmax(1))

    planting.change_loss(experiment, "cross_entropy", loss)


def loss_divided_by_the_number_of_pixels(experiment: Experiment) -> None:
    """`loss / images.numel()` for a mean: gradients are far smaller than the weight decay, which is added to them."""
    _change_total(experiment, lambda terms, batch: terms.total / batch.images_BCHW.numel())


def total_rounded_for_the_log(experiment: Experiment) -> None:
    """The loss is rounded to three places, to be printed, and it is the rounded one that goes into the backward pass."""
    _change_total(experiment, lambda terms, batch: terms.total.round(decimals=3))


def _change_total(experiment: Experiment, total_of: Callable[[LossTerms, Batch], Tensor]) -> None:
    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms = planting.losses_of(parts, batch)
        return planting.update(parts, replace(terms, total=total_of(terms, batch)))

    experiment.step = step
