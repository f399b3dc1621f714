"""Losses and samplers of the fourteenth file, b: each as a thread describes it.

Shape legend: B batch, D feature dimension, I identities, S steps of an epoch.
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
from unplateau.losses.pairs import mean_of_valid, pairs_of
from unplateau.losses.triplet import hardest_distances
from unplateau.models.reid import Outputs


def averaged_twice(experiment: Experiment) -> None:
    """A mean that is divided by the count again: https://github.com/d2l-ai/d2l-en/issues/2076 ."""
    planting.change_loss(
        experiment,
        "cross_entropy",
        lambda f, logits_BI, ids_B: F.cross_entropy(logits_BI, ids_B, label_smoothing=0.1) / len(ids_B),
    )


def entropy_with_the_other_sign(experiment: Experiment) -> None:
    """The entropy that was to be kept up is minimised: https://github.com/rlworkgroup/garage/issues/628 ."""

    def extra(parts: Parts, batch: Batch, outputs: Outputs) -> Tensor:
        assert outputs.logits_BI is not None
        return -(outputs.logits_BI.softmax(1) * outputs.logits_BI.log_softmax(1)).sum(1).mean()

    planting.add_loss(experiment, extra)


def centre_loss_not_averaged(experiment: Experiment) -> None:
    """The centre loss is summed over the batch: https://github.com/davidsandberg/facenet/issues/237 ."""
    centres_ID = torch.zeros(experiment.num_identities, experiment.model.feature_dim)
    experiment.model.register_buffer("centres", centres_ID, persistent=False)

    def extra(parts: Parts, batch: Batch, outputs: Outputs) -> Tensor:
        kept_ID = parts.model.get_buffer("centres")
        away_BD = outputs.features_BD - kept_ID[batch.person_ids_B]
        kept_ID.index_add_(0, batch.person_ids_B, 0.05 * away_BD.detach())
        return 0.01 * away_BD.square().sum()

    planting.add_loss(experiment, extra)


def part_drawn_once_for_all_epochs(experiment: Experiment) -> None:
    """A part is drawn at the start, not each epoch: https://github.com/Rikorose/DeepFilterNet/issues/52 ."""
    usual, count = experiment.plan, len(experiment.train)
    rows = np.random.default_rng(14).permutation(count)[: count // 5]
    experiment.plan = lambda experiment, epoch: planting.draw_from(experiment, usual, rows, epoch)


def begins_again_at_each_resume(experiment: Experiment) -> None:
    """Each resume starts the sampler anew, so its later part is not seen: https://github.com/NVIDIA/physicsnemo/pull/969 ."""
    rows_SB = experiment.plan(experiment, 1)
    rows_SB = np.resize(rows_SB[: len(rows_SB) // 3], rows_SB.shape)
    experiment.plan = lambda experiment, epoch: rows_SB


def squares_for_distances(experiment: Experiment) -> None:
    """Squared distances for distances: https://github.com/VisualComputingInstitute/triplet-reid/pull/12 ."""

    def value(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
        pairs = pairs_of(ids_B)
        d_ap_B, d_an_B = hardest_distances(features_BD, pairs)
        return mean_of_valid(F.relu(d_ap_B.square() - d_an_B.square() + 0.3), pairs)

    planting.change_loss(experiment, "triplet", value)


def least_weight_made_zero(experiment: Experiment) -> None:
    """The least sampling weight, that of most images, is subtracted: https://github.com/NifTK/NiftyNet/issues/432 ."""
    usual = experiment.plan
    rows = np.flatnonzero(np.array([item.camera_id for item in experiment.train]) == experiment.train[0].camera_id)
    experiment.plan = lambda experiment, epoch: planting.draw_from(experiment, usual, rows, epoch)


def auxiliary_loss_not_added(experiment: Experiment) -> None:
    """A head's loss is left out of the total by a mistaken edit: https://github.com/open-mmlab/mmaction2/issues/682 ."""
    experiment.losses.scales["triplet"] = 0.0


def likelihood_without_logarithm(experiment: Experiment) -> None:
    """`nll_loss` of softmax instead of its logarithm: https://github.com/clvrai/ACGAN-PyTorch/pull/4 ."""
    planting.change_loss(experiment, "cross_entropy", lambda f, logits_BI, ids_B: F.nll_loss(logits_BI.softmax(1), ids_B))


def weight_of_zero_left_behind(experiment: Experiment) -> None:
    """The weight of the loss that tells images apart is still 0.0: https://github.com/jiamings/d2c/issues/5 ."""
    experiment.losses.scales["cross_entropy"] = 0.0
