"""Faults of pictures, labels, transforms and samplers.

Shape legend: B batch, N images, C/H/W image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from benchmarks.plateaubench.experiment import Experiment, plain, sampler
from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.recipe import Pictures
from unplateau.data.transforms import Augmentation
from unplateau.models.classifiers import build_classifier
from unplateau.optim.build import build_optimizers

Inject = Callable[[Experiment], None]


def labels_shuffled(share: float) -> Inject:
    """A share of the images carry a label drawn from the others of that share."""

    def inject(experiment: Experiment) -> None:
        rng = np.random.default_rng(experiment.config.SEED + 17)
        rows = np.flatnonzero(rng.random(len(experiment.labels_N)) < share)
        labels_N = experiment.labels_N.copy()
        labels_N[rows] = labels_N[rng.permutation(rows)]
        experiment.labels_N = labels_N

    return inject


def labels_shifted(images: int) -> Inject:
    """Labels are shifted against the images of a batch: an index that is off."""

    def inject(experiment: Experiment) -> None:
        usual = experiment.transform
        experiment.transform = lambda pixels_BCHW, generator: usual(pixels_BCHW, generator).roll(images, 0)

    return inject


def identities_merged(together: int) -> Inject:
    """People share a label, several each."""

    def inject(experiment: Experiment) -> None:
        experiment.labels_N = experiment.labels_N // together

    return inject


def identities_split(pieces: int) -> Inject:
    """Each person has several labels, dealt out at random."""

    def inject(experiment: Experiment) -> None:
        rng = np.random.default_rng(experiment.config.SEED + 18)
        order_N = rng.permutation(len(experiment.labels_N))
        count_N = np.zeros_like(experiment.labels_N)
        seen: dict[int, int] = {}
        for row in order_N:
            label = int(experiment.labels_N[row])
            count_N[row] = seen.get(label, 0) % pieces
            seen[label] = seen.get(label, 0) + 1
        experiment.labels_N = pieces * experiment.labels_N + count_N
        give_classifier(experiment, int(experiment.labels_N.max()) + 1)

    return inject


def give_classifier(experiment: Experiment, num_identities: int, *, kind: str = "Linear") -> None:
    """Give the model another classifier, and the optimiser its weights."""
    head, heads = experiment.model.head, experiment.config.MODEL.HEADS
    scale = 1.0 if kind == "CosineLinear" else heads.SCALE
    head.classifier = build_classifier(kind, head.embedding_dim, num_identities, scale=scale, margin=0.0)
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def blank(share: float) -> Inject:
    """A share of the pictures cannot be decoded and comes as black; with all of them the evaluation's too."""

    def inject(experiment: Experiment) -> None:
        pixels_NCHW = experiment.pictures.pixels_NCHW.clone()
        rng = np.random.default_rng(experiment.config.SEED + 19)
        rows = [experiment.pictures.row_of_path[item.path] for item in experiment.train]
        chosen = [row for row in rows if rng.random() < share] if share < 1 else list(range(len(pixels_NCHW)))
        pixels_NCHW[chosen] = 0
        experiment.pictures = Pictures(pixels_NCHW, experiment.pictures.row_of_path)

    return inject


def one_picture_each(experiment: Experiment) -> None:
    """All pictures of a training identity are copies of its first."""
    pixels_NCHW = experiment.pictures.pixels_NCHW.clone()
    first: dict[int, int] = {}
    for item in experiment.train:
        row = experiment.pictures.row_of_path[item.path]
        pixels_NCHW[row] = pixels_NCHW[first.setdefault(item.person_id, row)]
    experiment.pictures = Pictures(pixels_NCHW, experiment.pictures.row_of_path)


def same_picture_for_all(experiment: Experiment) -> None:
    """An index bug gives every row of a batch the same picture."""
    usual = experiment.transform
    experiment.transform = lambda pixels_BCHW, generator: usual(pixels_BCHW[:1].expand_as(pixels_BCHW).contiguous(), generator)


def on_0_to_255(experiment: Experiment) -> None:
    """Nothing is normalised, in training and evaluation alike."""
    for owner in (experiment, experiment.evaluator):
        usual = owner.transform
        owner.transform = _rescaled(usual, 58.0, 114.0)  # type: ignore[union-attr]


def washed_out(experiment: Experiment) -> None:
    """Normalised pixels are divided by 255 once more and moved far from zero, in training only."""
    experiment.transform = _rescaled(experiment.transform, 1 / 255, 3.0)


def swapped_channels(experiment: Experiment) -> None:
    """Training reads BGR, evaluation RGB."""
    usual = experiment.transform
    experiment.transform = lambda pixels_BCHW, generator: usual(pixels_BCHW.flip(1), generator)


def too_much_augmentation(noise: float, covered: float) -> Inject:
    """Noise and covered stripes hide the person."""

    def inject(experiment: Experiment) -> None:
        usual = experiment.transform

        def transform(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
            images_BCHW = usual(pixels_BCHW, generator)
            num_images, _, height, _ = images_BCHW.shape
            tint_BC11 = 2 * torch.randn(num_images, 3, 1, 1, generator=generator)
            kept_BH = torch.rand(num_images, height // 8, generator=generator).repeat_interleave(8, 1) > covered
            noisy_BCHW = images_BCHW * (1 + 0.5 * tint_BC11) + noise * torch.randn(images_BCHW.shape, generator=generator)
            return noisy_BCHW * kept_BH[:, None, :, None]

        experiment.transform = transform

    return inject


def few_identities(count: int) -> Inject:
    """Only a few people of the training set are read, over and over."""

    def inject(experiment: Experiment) -> None:
        usual, rows = experiment.plan, np.flatnonzero(experiment.labels_N < count)

        def plan(experiment: Experiment, epoch: int) -> np.ndarray:
            steps = len(usual(experiment, epoch))
            few = replace(experiment, labels_N=experiment.labels_N[rows], train=tuple(experiment.train[row] for row in rows))
            plans = [rows[usual(few, 1000 * epoch + part)] for part in range(steps)]
            return np.concatenate(plans)[:steps]

        experiment.plan = plan

    return inject


def without_pk(experiment: Experiment) -> None:
    """Plain shuffling under a triplet loss."""
    experiment.plan = sampler("TrainingSampler")


def one_image_each(experiment: Experiment) -> None:
    """K = 1: every identity of a batch has one image."""
    experiment.plan = sampler("NaiveIdentitySampler", num_instances=1)


def one_identity_a_batch(experiment: Experiment) -> None:
    """Batches show one person: nothing to push away."""

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rng = np.random.default_rng(1000 * experiment.config.SEED + epoch)
        size, steps = experiment.config.SOLVER.IMS_PER_BATCH, len(experiment.train) // experiment.config.SOLVER.IMS_PER_BATCH
        people = rng.integers(0, experiment.labels_N.max() + 1, steps)
        return np.stack([rng.choice(np.flatnonzero(experiment.labels_N == person), size) for person in people])

    experiment.plan = plan


def evaluation_not_normalised(experiment: Experiment) -> None:
    """Evaluation hands in pixels from 0 to 1."""
    mean, std = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)
    experiment.evaluator.transform = plain(Augmentation(mean, std))


def evaluation_channels_swapped(experiment: Experiment) -> None:
    """Evaluation reads BGR, training RGB."""
    usual = experiment.evaluator.transform
    experiment.evaluator.transform = lambda pixels_BCHW, generator: usual(pixels_BCHW.flip(1), generator)


def _rescaled(usual: Callable[[Tensor, torch.Generator], Tensor], factor: float, offset: float) -> object:
    return lambda pixels_BCHW, generator: usual(pixels_BCHW, generator) * factor + offset


FAULTS: tuple[Fault, ...] = (
    fault("labels_shuffled/100", "labels-shuffled labels-noisy", labels_shuffled(1.0)),
    fault("labels_shuffled/40", "labels-shuffled labels-noisy", labels_shuffled(0.4), severity="mild"),
    fault("labels_shifted/2", "labels-off-by-one labels-shuffled", labels_shifted(2)),
    fault("labels_shifted/1", "labels-off-by-one labels-shuffled", labels_shifted(1), severity="mild"),
    fault("identities_merged/6", "identities-merged", identities_merged(6)),
    fault("identities_merged/2", "identities-merged", identities_merged(2), severity="mild"),
    fault("identities_split", "identities-split", identities_split(4)),
    fault("blank_images/all", "blank-images", blank(1.0)),
    fault("blank_images/half", "blank-images", blank(0.6), severity="mild"),
    fault("duplicates", "duplicates", one_picture_each),
    fault("same_picture_for_all", "blank-images duplicates", same_picture_for_all),
    fault("not_normalised", "inputs-not-normalised", on_0_to_255),
    fault("washed_out", "inputs-not-normalised evaluation-preprocessing", washed_out),
    fault("channels_swapped", "channels-swapped evaluation-preprocessing", swapped_channels, severity="mild"),
    fault("over_augmentation/strong", "augmentation-too-strong", too_much_augmentation(4.0, 0.8)),
    fault("over_augmentation/mild", "augmentation-too-strong", too_much_augmentation(1.0, 0.5), severity="mild"),
    fault("few_identities", "too-few-identities overfitting", few_identities(9)),
    fault("no_pk", "no-pk-sampling no-positives", without_pk),
    fault("one_image_each", "no-pk-sampling no-positives", one_image_each),
    fault("one_identity_a_batch", "no-pk-sampling no-positives", one_identity_a_batch),
    fault("evaluation_not_normalised", "evaluation-preprocessing inputs-not-normalised", evaluation_not_normalised),
    fault("evaluation_channels", "evaluation-preprocessing channels-swapped", evaluation_channels_swapped, severity="mild"),
)
