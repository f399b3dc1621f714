"""Bugs of losses and samplers for `fifteenth_b`, each from a thread in which its cause was found.

Shape legend: B batch, P people of a batch, K images of each, D embedding dim, I identities, S steps of an epoch.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment, sampler
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms

MARGIN = 0.3
"""The triplet margin of the bench."""


def distances_over_the_last_axis(experiment: Experiment) -> None:
    """After an upgrade `pairwise_distance` takes the norm of the last axis, over people instead of features.

    joonson/voxceleb_unsupervised issue 10.
    """

    def value(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
        features_PKD = _by_person(features_BD)
        anchors_PD, queries_PD = features_PKD[:, 1:].mean(1), features_PKD[:, 0]
        far_PD = F.pairwise_distance(queries_PD[:, :, None], anchors_PD[:, :, None].transpose(0, 2))
        return F.cross_entropy(-far_PD, torch.arange(len(far_PD)))

    planting.change_loss(experiment, "triplet", value)


def whole_table_regularised(experiment: Experiment) -> None:
    """The square of the whole table of weights is added in each step, and not of the rows that the batch uses.

    hexiangnan/adversarial_personalized_ranking pull request 8.
    """

    def table(parts: Parts, batch: Batch, outputs: object) -> Tensor:
        classifier = parts.model.head.classifier
        assert classifier is not None
        return 0.5 * torch.as_tensor(classifier.weight).square().sum()

    planting.add_loss(experiment, table)


def one_logarithm_of_all_sums(experiment: Experiment) -> None:
    """The angular loss sums over all anchors inside one logarithm. KevinMusgrave/pytorch-metric-learning issue 21."""

    def value(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
        unit_BD = F.normalize(features_BD)
        near_BB = unit_BD @ unit_BD.T
        same_BB = ids_B[:, None] == ids_B
        pairs_BB = same_BB & ~torch.eye(len(ids_B), dtype=torch.bool)
        angles_BBB = 4 * (near_BB[:, None, :] + near_BB[None]) - 4 * near_BB[:, :, None]
        chosen = angles_BBB[pairs_BB[:, :, None] & ~same_BB[:, None, :]]
        return torch.cat([chosen, chosen.new_zeros(1)]).logsumexp(0)

    planting.change_loss(experiment, "triplet", value)


def centres_pulled_together(experiment: Experiment) -> None:
    """The push term of the discriminative loss has its difference the wrong way round: far centres are drawn together.

    harryhan618/LaneNet issue 7.
    """

    def value(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
        features_PKD = _by_person(features_BD)
        centres_PD = features_PKD.mean(1)
        pull = F.relu((features_PKD - centres_PD[:, None]).norm(dim=2) - 0.5).square().mean()
        push = F.relu(F.pdist(centres_PD) - 3.0).square().mean()
        return pull + push

    planting.change_loss(experiment, "triplet", value)


def scores_taken_before_the_loss(experiment: Experiment) -> None:
    """Scores are computed outside of the function that is differentiated: every gradient is 0.

    Goekdeniz-Guelmez/mlx-lm-lora issue 65.
    """

    def step(parts: Parts, batch: Batch) -> StepTerms:
        with torch.no_grad():
            terms = planting.losses_of(parts, batch)
        untouched = torch.stack([weight.sum() for weight in parts.model.parameters() if weight.requires_grad]).sum() * 0
        return planting.update(parts, replace(terms, total=terms.total + untouched))

    experiment.step = step


def violations_counted(experiment: Experiment) -> None:
    """A constraint is the sum of a mask of its violations, which has no gradient. wtl52656/Diff-RNTraj issue 9."""

    def value(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
        far_BB = torch.cdist(features_BD, features_BD)
        same_BB = ids_B[:, None] == ids_B
        farthest_B = far_BB.masked_fill(~same_BB, 0).amax(1)
        nearest_B = far_BB.masked_fill(same_BB, torch.inf).amin(1)
        return (farthest_B + MARGIN > nearest_B).float().sum()

    planting.change_loss(experiment, "triplet", value)


def off_diagonal_without_its_factor(experiment: Experiment) -> None:
    """The redundancy term of Barlow Twins is not multiplied by its lambda of 0.005. IgorSusmelj/barlowtwins pull request 1."""

    def value(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
        features_PKD = _by_person(features_BD)
        first_ND, second_ND = (_standardised(half.flatten(0, 1)) for half in features_PKD.chunk(2, dim=1))
        correlation_DD = first_ND.T @ second_ND / len(first_ND)
        on = (correlation_DD.diagonal() - 1).square().sum()
        return on + correlation_DD.square().sum() - correlation_DD.diagonal().square().sum()

    planting.change_loss(experiment, "triplet", value)


def features_in_another_order_than_labels(experiment: Experiment) -> None:
    """Features are unbound along the other axis than labels are flattened along, so the two are in different orders.

    user0407/CLUDA issue 6.
    """
    term = experiment.losses.terms["triplet"]
    term.register_forward_pre_hook(lambda module, inputs: (_by_person(inputs[0]).transpose(0, 1).flatten(0, 1), *inputs[1:]))


def one_image_of_a_person(experiment: Experiment) -> None:
    """The sampler gives one image of a person (m=1), so no triplet is ever formed.

    KevinMusgrave/pytorch-metric-learning issue 110.
    """
    settings = experiment.config
    size = min(settings.SOLVER.IMS_PER_BATCH, experiment.num_identities)
    experiment.plan = sampler(settings.DATALOADER.SAMPLER_TRAIN, num_instances=1, num_images=size)


def logarithm_of_class_weights(experiment: Experiment) -> None:
    """Balancing weights are turned into logarithms: the common are never drawn, the rare nearly always.

    Continvvm/continuum issue 254.
    """
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        shape, size = usual(experiment, epoch).shape, experiment.config.DATALOADER.NUM_INSTANCE
        counts = Counter(experiment.labels_N.tolist())
        weights = 1e-6 + np.log(max(counts.values()) / np.array([counts[person] for person in sorted(counts)]))
        generator = np.random.default_rng((epoch, experiment.config.SEED))
        people = generator.choice(sorted(counts), shape[0] * shape[1] // size, p=weights / weights.sum())
        rows = [generator.choice(np.flatnonzero(experiment.labels_N == person), size) for person in people]
        return np.concatenate(rows).reshape(shape)

    experiment.plan = plan


def sigmoid_of_the_distance(experiment: Experiment) -> None:
    """A sigmoid squashes the distance below the margin of the contrastive loss. keras-team/keras-io pull request 2261."""

    def value(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
        squashed_BB = torch.cdist(features_BD, features_BD).sigmoid()
        same_BB = ids_B[:, None] == ids_B
        return torch.where(same_BB, squashed_BB.square(), F.relu(1 - squashed_BB).square()).mean()

    planting.change_loss(experiment, "triplet", value)


def both_kinds_of_pairs_in_one_mean(experiment: Experiment) -> None:
    """Errors of few positive and many negative pairs are divided by the number of both. experiencor/keras-yolo2 issue 353."""

    def value(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
        unit_BD = F.normalize(features_BD)
        far_BB = torch.cdist(unit_BD, unit_BD)
        same_BB = ids_B[:, None] == ids_B
        return torch.where(same_BB, far_BB.square(), F.relu(1 - far_BB).square()).mean()

    planting.change_loss(experiment, "triplet", value)


def _by_person(features_BD: Tensor) -> Tensor:
    return features_BD.unflatten(0, (-1, 4))


def _standardised(features_ND: Tensor) -> Tensor:
    return F.batch_norm(features_ND, None, None, training=True)
