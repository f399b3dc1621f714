"""Faults of `fourth` in samplers and losses.

Shape legend: B batch, N images, D feature dim, I identities, S steps of an epoch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.losses.terms import Loss, LossTerms, Term
from unplateau.models.classifiers import build_classifier
from unplateau.models.reid import Outputs
from unplateau.optim.build import build_optimizers


def first_images_in_order(experiment: Experiment) -> None:
    """The sampler shuffles nothing: the first K images of the first person, then of the second, and so on, in every epoch."""

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        size, instances = experiment.config.SOLVER.IMS_PER_BATCH, experiment.config.DATALOADER.NUM_INSTANCE
        groups = [np.resize(np.flatnonzero(experiment.labels_N == label), instances) for label in np.unique(experiment.labels_N)]
        steps = max(1, len(experiment.labels_N) // size)
        return np.resize(np.concatenate(groups), steps * size).reshape(steps, size)

    experiment.plan = plan


def grouped_by_camera(experiment: Experiment) -> None:
    """The sampler takes the wrong column for its groups: K images of a camera side by side, of whomever they show."""
    cameras_N = np.array([item.camera_id for item in experiment.train])

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([experiment.config.SEED, epoch, 44])
        size, instances = experiment.config.SOLVER.IMS_PER_BATCH, experiment.config.DATALOADER.NUM_INSTANCE
        groups = rng.integers(0, cameras_N.max() + 1, len(cameras_N) // size * size // instances)
        drawn = [rng.choice(np.flatnonzero(cameras_N == camera), instances, replace=False) for camera in groups]
        return np.concatenate(drawn).reshape(-1, size)

    experiment.plan = plan


def outputs_in_the_wrong_order(experiment: Experiment) -> None:
    """The model gives (features, logits) where the loop unpacks (logits, features): each loss has what is for the other."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        outputs = parts.network(batch.images_BCHW, person_ids_B=batch.person_ids_B)
        return planting.update(parts, parts.losses(outputs.logits_BI, outputs.features_BD, batch.person_ids_B))

    experiment.step = step


def metric_loss_told_cameras(experiment: Experiment) -> None:
    """The metric loss is called with the camera ids, which stand beside the labels in the batch."""
    _other_metric_labels(experiment, lambda batch: batch.camera_ids_B)


def labels_gathered_in_another_order(experiment: Experiment) -> None:
    """Features are gathered rank by rank, labels image by image: the metric loss has other labels than features."""
    _other_metric_labels(experiment, lambda batch: batch.person_ids_B.view(4, -1).T.reshape(-1))


class _AcrossCameras(Loss):
    """Batch-hard triplets whose positive is of another camera; an anchor without one is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.cameras_B: Tensor | None = None

    def term(self, features_BD: Tensor, logits_BI: Tensor | None, person_ids_B: Tensor) -> Term:
        cameras_B = self.cameras_B
        if cameras_B is None or len(cameras_B) != len(person_ids_B):  # called outside the step that tells the cameras
            cameras_B = torch.zeros_like(person_ids_B)
        distances_BB = torch.cdist(features_BD, features_BD)
        same_BB = person_ids_B[:, None] == person_ids_B
        positive_BB = same_BB & (cameras_B[:, None] != cameras_B)
        d_ap_B = torch.where(positive_BB, distances_BB, 0.0).amax(1)
        d_an_B = torch.where(same_BB, torch.inf, distances_BB).amin(1)
        valid_B = positive_BB.any(1) & ~same_BB.all(1)
        loss_B = torch.where(valid_B, F.relu(d_ap_B - d_an_B + 0.3), 0.0)
        return Term(loss_B.sum() / valid_B.sum().clamp(min=1), {"positives_per_anchor": positive_BB.sum(1).float().mean()})


def positives_of_other_cameras(experiment: Experiment) -> None:
    """Positives have to be of another camera, and the reader of these files gives every image camera 0."""
    experiment.train = tuple(replace(item, camera_id=0) for item in experiment.train)
    experiment.losses.terms["triplet"] = _AcrossCameras()

    def step(parts: Parts, batch: Batch) -> StepTerms:
        parts.losses.terms["triplet"].cameras_B = batch.camera_ids_B
        return planting.update(parts, planting.losses_of(parts, batch))

    experiment.step = step


def contrast_of_raw_features(experiment: Experiment) -> None:
    """A supervised contrastive loss at a temperature of 0.07 has features that nobody brought to unit length."""

    def contrast(parts: Parts, batch: Batch, outputs: Outputs) -> Tensor:
        itself_BB = torch.eye(len(batch.person_ids_B), dtype=torch.bool)
        positive_BB = (batch.person_ids_B[:, None] == batch.person_ids_B) & ~itself_BB
        logits_BB = (outputs.features_BD @ outputs.features_BD.T / 0.07).masked_fill(itself_BB, -1e9)
        likelihood_BB = logits_BB.log_softmax(1).masked_fill(~positive_BB, 0.0)
        return -(likelihood_BB.sum(1) / positive_BB.sum(1).clamp(min=1)).mean()

    planting.add_loss(experiment, contrast)


def confidence_punished(experiment: Experiment) -> None:
    """The weight of a penalty on confident predictions is 10 where 0.1 is usual."""

    def negative_entropy(parts: Parts, batch: Batch, outputs: Outputs) -> Tensor:
        assert outputs.logits_BI is not None
        return 10 * (outputs.logits_BI.softmax(1) * outputs.logits_BI.log_softmax(1)).sum(1).mean()

    planting.add_loss(experiment, negative_entropy)


def taught_by_random_weights(experiment: Experiment) -> None:
    """Features are drawn to those of a teacher into which no weights were loaded."""
    teacher = copy.deepcopy(experiment.model).eval().requires_grad_(False)

    def distance(parts: Parts, batch: Batch, outputs: Outputs) -> Tensor:
        with torch.no_grad():
            taught_BD = F.normalize(teacher(batch.images_BCHW).features_BD)
        return 100 * (F.normalize(outputs.features_BD) - taught_BD).square().sum(1).mean()

    planting.add_loss(experiment, distance)


def metric_ramp_without_end(experiment: Experiment) -> None:
    """The weight of the metric loss is ramped up over 10 steps, and nothing ends the ramp."""
    usual, steps = experiment.step, count()

    def step(parts: Parts, batch: Batch) -> StepTerms:
        parts.losses.scales["triplet"] = 1e-3 + (next(steps) / 10) ** 3
        return usual(parts, batch)

    experiment.step = step


def smoothing_not_shared_out(experiment: Experiment) -> None:
    """Label smoothing by hand forgets to divide by the number of identities: each of them gets the whole of it."""

    def smoothed(logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
        target_BI = 0.9 * F.one_hot(person_ids_B, logits_BI.shape[1]) + 0.1
        return -(target_BI * logits_BI.log_softmax(1)).sum(1).mean()

    term = experiment.losses.terms["cross_entropy"]
    term.register_forward_hook(lambda module, inputs, term: replace(term, value=smoothed(*inputs[1:])))


def binary_losses_of_identities(experiment: Experiment) -> None:
    """Each identity is a yes or no of its own (`binary_cross_entropy_with_logits`): nearly all answers are no from the start."""

    def binary(logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits_BI, F.one_hot(person_ids_B, logits_BI.shape[1]).float())

    term = experiment.losses.terms["cross_entropy"]
    term.register_forward_hook(lambda module, inputs, term: replace(term, value=binary(*inputs[1:])))


def mixed_with_exchanged_shares(experiment: Experiment) -> None:
    """Mixup gives the label of the larger part of an image the smaller share of the cross-entropy."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        larger, other = 0.5 + 0.5 * float(torch.rand(())), torch.randperm(len(batch.person_ids_B))
        images_BCHW = larger * batch.images_BCHW + (1 - larger) * batch.images_BCHW[other]
        outputs = parts.network(images_BCHW, person_ids_B=batch.person_ids_B)
        terms = parts.losses(outputs.features_BD, outputs.logits_BI, batch.person_ids_B)
        of_other = parts.losses.terms["cross_entropy"](outputs.features_BD, outputs.logits_BI, batch.person_ids_B[other]).value
        mixed = (1 - larger) * terms.parts["cross_entropy"] + larger * of_other
        return planting.update(parts, _with_part(terms, "cross_entropy", mixed))

    experiment.step = step


def margin_added(experiment: Experiment) -> None:
    """CosFace with its margin added to the true cosine: training is easier, not harder, than it should be."""
    head = experiment.model.head
    head.classifier = build_classifier("CosSoftmax", head.embedding_dim, experiment.num_identities, scale=30.0, margin=-0.5)
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def _other_metric_labels(experiment: Experiment, labels_of: Callable[[Batch], Tensor]) -> None:
    def step(parts: Parts, batch: Batch) -> StepTerms:
        outputs = parts.network(batch.images_BCHW, person_ids_B=batch.person_ids_B)
        terms = parts.losses(outputs.features_BD, outputs.logits_BI, batch.person_ids_B)
        other = parts.losses.terms["triplet"](outputs.features_BD, outputs.logits_BI, labels_of(batch)).value
        return planting.update(parts, _with_part(terms, "triplet", other))

    experiment.step = step


def _with_part(terms: LossTerms, name: str, value: Tensor) -> LossTerms:
    """Return the terms with another value of a part that counts once in the total."""
    return replace(terms, total=terms.total - terms.parts[name] + value, parts={**terms.parts, name: value})
