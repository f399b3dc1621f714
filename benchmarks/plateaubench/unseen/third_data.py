"""Faults of `third` in pictures, labels and samplers.

Shape legend: B batch, N images, D feature dim, I identities, C/H/W image.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment, random, sampler
from unplateau.data.items import Item
from unplateau.data.loader import Batch
from unplateau.data.transforms import Augmentation


def padded_by_thirty(experiment: Experiment) -> None:
    """The padding before the random crop was chosen for larger images."""
    experiment.transform = random(replace(Augmentation.from_config(experiment.config), padding=30))


def hue_all_round(experiment: Experiment) -> None:
    """Hue is jittered over the whole circle of colours."""

    def shift(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        angle_B = 2 * math.pi * torch.rand(len(pixels_BCHW), generator=generator)
        share_BC = (1 + 2 * torch.cos(angle_B[:, None] + torch.tensor([0.0, 2.0, 4.0]) * math.pi / 3)) / 3
        turns_BCC = torch.stack([share_BC.roll(channel, 1) for channel in range(3)], 1)
        return torch.einsum("bij,bjhw->bihw", turns_BCC, pixels_BCHW.float()).clamp(0, 255).round().byte()

    planting.change_training_pixels(experiment, shift)


def each_image_standardised(experiment: Experiment) -> None:
    """Training brings each image to mean 0 and deviation 1 by itself; evaluation uses the configured constants."""
    planting.change_training_images(
        experiment, lambda images_BCHW, _: F.layer_norm(images_BCHW, images_BCHW.shape[1:]).contiguous()
    )


def some_files_in_bgr(experiment: Experiment) -> None:
    """A second decoder, which takes over for half of the files, gives BGR."""
    rng = np.random.default_rng(33)
    every = (*experiment.train, *experiment.evaluator.query, *experiment.evaluator.gallery)
    planting.repaint(experiment, every, lambda item, pixels_CHW: pixels_CHW.flip(0) if rng.random() < 0.5 else pixels_CHW)


def buffer_never_filled(experiment: Experiment) -> None:
    """Where decoding fails, the array that it should have filled is used: four of five training images are noise."""
    rng = np.random.default_rng(34)

    def noise(item: Item, pixels_CHW: Tensor) -> Tensor:
        return torch.from_numpy(rng.integers(0, 256, pixels_CHW.shape)).byte() if rng.random() < 0.8 else pixels_CHW

    planting.repaint(experiment, experiment.train, noise)


def listings_sorted_differently(experiment: Experiment) -> None:
    """Images are listed by number, labels by name, where 10 comes before 2."""
    experiment.labels_N = experiment.labels_N[sorted(range(len(experiment.labels_N)), key=str)]


def pseudo_labels_of_colours(experiment: Experiment) -> None:
    """Labels are clusters of what an untrained network sees, hardly more than colours, and are never renewed."""
    seen_ND = F.adaptive_avg_pool2d(experiment.pictures.of(experiment.train).float(), (4, 2)).flatten(1)
    centres_ID = seen_ND[torch.randperm(len(seen_ND), generator=torch.Generator().manual_seed(35))[: experiment.num_identities]]
    experiment.labels_N = np.unique(torch.cdist(seen_ND, centres_ID).argmin(1).numpy(), return_inverse=True)[1].astype(np.int64)


def people_renumbered_each_epoch(experiment: Experiment) -> None:
    """Labels are places in a set, and the set is built anew each epoch, in another order."""
    steps, length, people = count(), experiment.schedule.steps_per_epoch, experiment.num_identities

    def renumber(batch: Batch) -> Batch:
        numbers_I = torch.from_numpy(np.random.default_rng([36, next(steps) // length]).permutation(people))
        return replace(batch, person_ids_B=numbers_I[batch.person_ids_B])

    planting.change_batch(experiment, renumber)


def rare_people_in_one_class(experiment: Experiment) -> None:
    """Three quarters of the people, those with the fewest images, are put together as "other"."""
    by_count_I = np.bincount(experiment.labels_N).argsort(kind="stable")
    rare = by_count_I[: len(by_count_I) * 3 // 4]
    labels_N = np.where(np.isin(experiment.labels_N, rare), rare[0], experiment.labels_N)
    experiment.labels_N = np.unique(labels_N, return_inverse=True)[1].astype(np.int64)


def two_people_a_batch(experiment: Experiment) -> None:
    """P and K are wrong for the batch: 2 people with 16 images each."""
    experiment.plan = sampler("NaiveIdentitySampler", num_instances=16)
