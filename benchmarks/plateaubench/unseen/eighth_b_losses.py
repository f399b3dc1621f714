"""Faults of `eighth_b` in samplers and losses.

Shape legend: B batch, N images, S steps of an epoch, D feature dim, I identities.
"""

from __future__ import annotations

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
from unplateau.models.reid import Outputs

_MARGIN = 0.3
_CONTRASTIVE_MARGIN = 1.0
_FEWEST_IMAGES = 10  # of a person, in a data set with dozens of images of everybody


def all_batches_are_one_list(experiment: Experiment) -> None:
    """`batches.append(batch)` and then `batch[:] = ...`: the list of an epoch holds one object, and that is its last batch."""
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rows_SB = usual(experiment, epoch)
        return np.repeat(rows_SB[-1:], len(rows_SB), axis=0)

    experiment.plan = plan


def people_with_few_images_left_out(experiment: Experiment) -> None:
    """The sampler skips whoever has fewer than ten images, as was right for tracks of a video: most people are skipped here."""
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        images_I = np.bincount(experiment.labels_N)
        people = max(8, int((images_I >= _FEWEST_IMAGES).sum()))
        kept = np.argsort(-images_I, kind="stable")[:people]
        return planting.draw_from(experiment, usual, np.flatnonzero(np.isin(experiment.labels_N, kept)), epoch)

    experiment.plan = plan


def people_join_one_an_epoch(experiment: Experiment) -> None:
    """A curriculum begins with eight people and adds one in each epoch, as for a run of hundreds: this one ends with nineteen."""
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        return planting.draw_from(experiment, usual, np.flatnonzero(experiment.labels_N < 7 + epoch), epoch)

    experiment.plan = plan


def averaged_as_frames_of_a_clip(experiment: Experiment) -> None:
    """Code for video averages the K images of a person before the losses, which see one feature of each and no pair."""
    clip = experiment.config.DATALOADER.NUM_INSTANCE

    def averaged(values: Tensor) -> Tensor:
        return values[: len(values) // clip * clip].unflatten(0, (-1, clip)).mean(1)

    def of_clips(module: nn.Module, inputs: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, ...]:
        features_BD, logits_BI, person_ids_B = inputs
        if len(person_ids_B) < clip:
            return inputs
        return averaged(features_BD), averaged(logits_BI), person_ids_B[: len(person_ids_B) // clip * clip : clip]

    experiment.losses.register_forward_pre_hook(of_clips)


def labels_mixed_and_images_not(experiment: Experiment) -> None:
    """Mixup gives the cross-entropy two labels of each image, and the network the images as they were: `model(images)`."""

    def mixed(_: Tensor, logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
        share, other = torch.rand(()), person_ids_B[torch.randperm(len(person_ids_B))]
        return share * F.cross_entropy(logits_BI, person_ids_B) + (1 - share) * F.cross_entropy(logits_BI, other)

    planting.change_loss(experiment, "cross_entropy", mixed)


def pairs_told_the_other_way_round(experiment: Experiment) -> None:
    """The contrastive loss was published with 0 for a pair of one person, and is given 1: it parts them and joins the others."""

    def pair_loss(features_BD: Tensor, _: Tensor, person_ids_B: Tensor) -> Tensor:
        same_BB, squares_BB = _pairs(features_BD, person_ids_B)
        apart_BB = F.relu(_CONTRASTIVE_MARGIN - squares_BB.clamp(min=1e-6).sqrt()).square()
        others_BB = ~torch.eye(len(same_BB), dtype=torch.bool)
        return torch.where(same_BB, apart_BB, squares_BB)[others_BB].mean()

    planting.change_loss(experiment, "triplet", pair_loss)


def places_among_the_pairs_taken_for_rows(experiment: Experiment) -> None:
    """The hardest are looked up as `features[d[mask].argmax()]`: a place among an anchor's positives, taken for a row."""

    def loss(features_BD: Tensor, _: Tensor, person_ids_B: Tensor) -> Tensor:
        same_BB, squares_BB = _pairs(features_BD.detach(), person_ids_B)
        rows = list(zip(squares_BB, same_BB, strict=True))
        positive_B = [int(squares_B[same_B].argmax()) for squares_B, same_B in rows]
        negative_B = [0 if same_B.all() else int(squares_B[~same_B].argmin()) for squares_B, same_B in rows]
        return F.triplet_margin_loss(features_BD, features_BD[positive_B], features_BD[negative_B], margin=_MARGIN)

    planting.change_loss(experiment, "triplet", loss)


def positives_of_a_loader_of_its_own(experiment: Experiment) -> None:
    """Anchors, positives and negatives come from three loaders in step, and each of them shuffles for itself."""

    def loss(features_BD: Tensor, _: Tensor, person_ids_B: Tensor) -> Tensor:
        positive_BD, negative_BD = (features_BD[torch.randperm(len(features_BD))] for _ in range(2))
        return F.triplet_margin_loss(features_BD, positive_BD, negative_BD, margin=_MARGIN)

    planting.change_loss(experiment, "triplet", loss)


def correlations_penalised_in_a_sum(experiment: Experiment) -> None:
    """A penalty on the covariance of features is not divided by their number, and the term that holds their variance is off."""

    def penalty(parts: Parts, batch: Batch, outputs: Outputs) -> Tensor:
        centred_BD = outputs.features_BD - outputs.features_BD.mean(0)
        covariance_DD = centred_BD.T @ centred_BD / (len(centred_BD) - 1)
        return (covariance_DD - torch.diag(covariance_DD.diagonal())).square().sum()

    planting.add_loss(experiment, penalty)


def bootstrapped_with_exchanged_shares(experiment: Experiment) -> None:
    """Targets are a mean of the label and of what the network says; the label has the share of 0.05 that was meant for that."""

    def loss(_: Tensor, logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
        of_itself = -(logits_BI.softmax(1) * logits_BI.log_softmax(1)).sum(1).mean()
        return 0.05 * F.cross_entropy(logits_BI, person_ids_B) + 0.95 * of_itself

    planting.change_loss(experiment, "cross_entropy", loss)


def attacked_in_units_of_pixels(experiment: Experiment) -> None:
    """Training on attacked images changes each value by 8, which is meant for pixels up to 255; these are normalised."""
    usual = experiment.step

    def step(parts: Parts, batch: Batch) -> StepTerms:
        images_BCHW = batch.images_BCHW.detach().clone().requires_grad_()
        total = planting.losses_of(parts, replace(batch, images_BCHW=images_BCHW)).total
        (slope_BCHW,) = torch.autograd.grad(total, images_BCHW)
        return usual(parts, replace(batch, images_BCHW=batch.images_BCHW + 8 * slope_BCHW.sign()))

    experiment.step = step


def _pairs(features_BD: Tensor, person_ids_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return which pairs are of one person, and the squared distance of each."""
    return person_ids_B[:, None] == person_ids_B, (features_BD[:, None] - features_BD).square().sum(2)
