"""Faults of `tenth_b` in samplers and losses. Each says where it was seen.

Shape legend: B batch, P pairs of a batch, D feature dim, I identities.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.models.reid import Outputs

_MARGIN = 0.3


def mask_taken_for_rows(experiment: Experiment) -> None:
    """`distances[i][1 - mask[i]]`: an integer mask picks rows 0 and 1 of the batch, again and again, for an anchor's negatives.

    Seen at https://github.com/Cysu/open-reid/issues/24
    """

    def loss(features_BD: Tensor, _: Tensor, person_ids_B: Tensor) -> Tensor:
        same_BB, distances_BB = _pairs(features_BD, person_ids_B)
        rows_BB = 1 - same_BB.long()
        d_an_B = torch.stack([row_B[rows_B].amin() for row_B, rows_B in zip(distances_BB, rows_BB, strict=True)])
        return F.relu(distances_BB.where(same_BB, 0.0).amax(1) - d_an_B + _MARGIN).mean()

    planting.change_loss(experiment, "triplet", loss)


def centres_never_move(experiment: Experiment) -> None:
    """A centre loss draws people to their centres, and nobody updates the centres: they stay the random points of the start.

    Seen at https://github.com/davidsandberg/facenet/issues/673
    """
    generator = torch.Generator().manual_seed(101)
    centres_ID = torch.randn(experiment.num_identities, experiment.model.feature_dim, generator=generator)
    experiment.model.register_buffer("centres", centres_ID, persistent=False)

    def distance(parts: Parts, batch: Batch, outputs: Outputs) -> Tensor:
        centres_BD = parts.model.get_buffer("centres")[batch.person_ids_B]
        return (outputs.features_BD - centres_BD).square().sum(1).mean() / 2

    planting.add_loss(experiment, distance)


def no_candidate_is_row_zero(experiment: Experiment) -> None:
    """Semi-hard mining takes `argmin` over no candidate where all negatives are nearer than the positive: that is row 0.

    Seen at https://githubissues.com/tensorflow/similarity/308
    """

    def loss(features_BD: Tensor, _: Tensor, person_ids_B: Tensor) -> Tensor:
        same_BB, distances_BB = _pairs(features_BD, person_ids_B)
        d_ap_B = distances_BB.where(same_BB, 0.0).amax(1)
        candidates_BB = ~same_BB & (distances_BB > d_ap_B[:, None])
        rows_B = distances_BB.masked_fill(~candidates_BB, torch.inf).argmin(1)
        return F.relu(d_ap_B - distances_BB[torch.arange(len(rows_B)), rows_B] + _MARGIN).mean()

    planting.change_loss(experiment, "triplet", loss)


def every_score_meets_every_label(experiment: Experiment) -> None:
    """A loss of pairs subtracts labels of shape (P,) from scores of shape (P, 1): each score is compared with all labels.

    Seen at https://discuss.pytorch.org/t/output-of-the-model-depends-on-the-shape-of-the-weights-tensor/148155
    """

    def loss(features_BD: Tensor, _: Tensor, person_ids_B: Tensor) -> Tensor:
        first_P, second_P = torch.triu_indices(len(person_ids_B), len(person_ids_B), 1)
        unit_BD = F.normalize(features_BD)
        scores_P1 = (unit_BD[first_P] * unit_BD[second_P]).sum(1, keepdim=True)
        labels_P = (person_ids_B[first_P] == person_ids_B[second_P]).float()
        return (scores_P1 - labels_P).square().mean()

    planting.change_loss(experiment, "triplet", loss)


def farthest_negative(experiment: Experiment) -> None:
    """Negatives are sorted as positives are, the farthest first: the triplet loss takes the easiest one and is 0.

    Seen at https://github.com/luhaofang/tripletloss/issues/37
    """

    def loss(features_BD: Tensor, _: Tensor, person_ids_B: Tensor) -> Tensor:
        same_BB, distances_BB = _pairs(features_BD, person_ids_B)
        d_ap_B, d_an_B = distances_BB.where(same_BB, 0.0).amax(1), distances_BB.where(~same_BB, 0.0).amax(1)
        return F.relu(d_ap_B - d_an_B + _MARGIN).mean()

    planting.change_loss(experiment, "triplet", loss)


def focal_of_the_logarithm(experiment: Experiment) -> None:
    """A focal loss is given the logarithm of the probability for the probability: its factor is (1 - log p) squared.

    Seen at https://github.com/HeyLynne/FocalLoss_for_multiclass/issues/3
    """

    def focal(_: Tensor, logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
        loss_B = F.cross_entropy(logits_BI, person_ids_B, reduction="none")
        return ((1 + loss_B).square() * loss_B).mean()

    planting.change_loss(experiment, "cross_entropy", focal)


def itself_is_the_farthest(experiment: Experiment) -> None:
    """An image's likeness to itself is set to minus infinity and then made a distance: it is the negative, and the loss 0.

    Seen at https://github.com/jinnnju/PaAno/issues/1
    """

    def loss(features_BD: Tensor, _: Tensor, person_ids_B: Tensor) -> Tensor:
        same_BB, distances_BB = _pairs(features_BD, person_ids_B)
        itself_BB = torch.eye(len(same_BB), dtype=torch.bool)
        d_ap_B, d_an_B = distances_BB.where(same_BB, 0.0).amax(1), distances_BB.masked_fill(itself_BB, torch.inf).amax(1)
        return F.relu(d_ap_B - d_an_B + _MARGIN).mean()

    planting.change_loss(experiment, "triplet", loss)


def margin_compared_with_the_distance(experiment: Experiment) -> None:
    """A negative counts as semi-hard where its distance, and not its lead, is below the margin: none is, and any is taken.

    Seen at https://github.com/cmusatyalab/openface/issues/48
    """

    def loss(features_BD: Tensor, _: Tensor, person_ids_B: Tensor) -> Tensor:
        same_BB, distances_BB = _pairs(features_BD, person_ids_B)
        d_ap_B = distances_BB.where(same_BB, 0.0).amax(1)
        fits_BB = ~same_BB & (distances_BB > d_ap_B[:, None]) & (distances_BB < _MARGIN)
        any_B = torch.rand(same_BB.shape).masked_fill(same_BB, -1.0).argmax(1)
        nearest_B = distances_BB.masked_fill(~fits_BB, torch.inf).argmin(1)
        d_an_B = distances_BB.gather(1, torch.where(fits_BB.any(1), nearest_B, any_B)[:, None]).squeeze(1)
        return F.relu(d_ap_B - d_an_B + _MARGIN).mean()

    planting.change_loss(experiment, "triplet", loss)


def likeness_for_distance(experiment: Experiment) -> None:
    """The triplet loss is given cosines where it takes distances: the least alike of two people are made more alike.

    Seen at https://github.com/Delong-liu-bupt/SEN/issues/6
    """

    def loss(features_BD: Tensor, _: Tensor, person_ids_B: Tensor) -> Tensor:
        same_BB = person_ids_B[:, None] == person_ids_B
        unit_BD = F.normalize(features_BD)
        cosines_BB = unit_BD @ unit_BD.T
        d_ap_B, d_an_B = cosines_BB.where(same_BB, -1.0).amax(1), cosines_BB.where(~same_BB, 1.0).amin(1)
        return F.relu(d_ap_B - d_an_B + _MARGIN).mean()

    planting.change_loss(experiment, "triplet", loss)


def least_of_what_is_masked(experiment: Experiment) -> None:
    """`(distances * is_negative).min(1)`: what the mask leaves out is 0, and 0 is the least; nobody is pushed away.

    From experience.
    """

    def loss(features_BD: Tensor, _: Tensor, person_ids_B: Tensor) -> Tensor:
        same_BB, distances_BB = _pairs(features_BD, person_ids_B)
        d_ap_B, d_an_B = (distances_BB * same_BB).amax(1), (distances_BB * ~same_BB).amin(1)
        return F.relu(d_ap_B - d_an_B + _MARGIN).mean()

    planting.change_loss(experiment, "triplet", loss)


def images_of_one_track(experiment: Experiment) -> None:
    """The sampler draws a person's track and fills K from it: all images of a person in a batch are of one camera.

    From experience.
    """
    usual, instances = experiment.plan, experiment.config.DATALOADER.NUM_INSTANCE
    cameras_N = np.array([item.camera_id for item in experiment.train])

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rows_SB = usual(experiment, epoch)
        rng = np.random.default_rng([experiment.config.SEED, epoch, 102])
        tracks = [
            np.flatnonzero((experiment.labels_N == experiment.labels_N[row]) & (cameras_N == cameras_N[row]))
            for row in rows_SB[:, ::instances].ravel()
        ]
        return np.concatenate([np.resize(rng.permutation(track), instances) for track in tracks]).reshape(rows_SB.shape)

    experiment.plan = plan


def _pairs(features_BD: Tensor, person_ids_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return which pairs are of one person, and the distance of each; that of an image to itself is next to 0."""
    squares_BB = (features_BD[:, None] - features_BD).square().sum(2)
    return person_ids_B[:, None] == person_ids_B, squares_BB.clamp(min=1e-12).sqrt()
