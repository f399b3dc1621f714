"""Faults of the first half of `fifth` in pictures, labels and augmentation.

Shape legend: B batch, N images, I identities, K cameras, R ranks, C/H/W image.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment, random
from benchmarks.plateaubench.faults_of_data import give_classifier
from unplateau.data.items import Item
from unplateau.data.loader import Batch
from unplateau.data.transforms import Augmentation

_RANKS = 4
_LETTERBOX_GREY = 114  # as in YOLO


def numbered_anew_in_each_camera(experiment: Experiment) -> None:
    """People are numbered by a tracker of each camera, and number 3 of one camera is taken for number 3 of the next."""
    cameras_N, rng = np.array([item.camera_id for item in experiment.train]), np.random.default_rng(51)
    numbers_KI = np.stack([rng.permutation(experiment.num_identities) for _ in range(cameras_N.max() + 1)])
    experiment.labels_N = np.unique(numbers_KI[cameras_N, experiment.labels_N], return_inverse=True)[1].astype(np.int64)


def each_rank_numbers_people_itself(experiment: Experiment) -> None:
    """Labels are places in a set, whose order is another one in every process: ranks share a classifier and not its labels."""
    rng = np.random.default_rng(52)
    numbers_RI = torch.from_numpy(np.stack([rng.permutation(experiment.num_identities) for _ in range(_RANKS)]))

    def renumber(batch: Batch) -> Batch:
        rank_B = torch.arange(len(batch.person_ids_B)) * _RANKS // len(batch.person_ids_B)
        return replace(batch, person_ids_B=numbers_RI[rank_B, batch.person_ids_B])

    planting.change_batch(experiment, renumber)


def labels_sorted_in_the_batch(experiment: Experiment) -> None:
    """The collate function sorts the labels of a batch, and not its images."""
    planting.change_batch(experiment, lambda batch: replace(batch, person_ids_B=batch.person_ids_B.sort().values))


def number_of_the_file_for_label(experiment: Experiment) -> None:
    """The number that `enumerate` counts is returned as the label: every image is a person of its own."""
    experiment.labels_N = np.arange(len(experiment.labels_N))
    give_classifier(experiment, len(experiment.labels_N))


def erased_in_raw_pixel_values(experiment: Experiment) -> None:
    """Random erasing comes after normalisation and fills in the mean colour on the scale of 0 to 255."""
    usual = Augmentation.from_config(experiment.config)
    red, green, blue = (mean + mean * std for mean, std in zip(usual.mean, usual.std, strict=True))
    experiment.transform = random(replace(usual, erase_probability=0.5, erase_color=(red, green, blue)))


def clamped_after_normalising(experiment: Experiment) -> None:
    """Brightness is changed after normalisation by code that keeps values between 0 and 1: what was below the mean is gone."""

    def brighten(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        factor_B = 0.8 + 0.4 * torch.rand(len(images_BCHW), generator=generator)
        return (images_BCHW * factor_B[:, None, None, None]).clamp(0, 1)

    planting.change_training_images(experiment, brighten)


def flipped_the_other_way(experiment: Experiment) -> None:
    """The random flip is the vertical one: half of the people stand on their head."""
    experiment.transform = random(replace(Augmentation.from_config(experiment.config), flip_probability=0.0))

    def flip(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        flipped_B = torch.rand(len(pixels_BCHW), generator=generator) < 0.5
        return torch.where(flipped_B[:, None, None, None], pixels_BCHW.flip(2), pixels_BCHW)

    planting.change_training_pixels(experiment, flip)


def pasted_without_its_label(experiment: Experiment) -> None:
    """Cutmix pastes half of another image in, and the loss is told of the first person only."""

    def paste(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        num_images, half = len(images_BCHW), images_BCHW.shape[2] // 2
        top_B1 = torch.randint(0, half + 1, (num_images, 1), generator=generator)
        row_H = torch.arange(images_BCHW.shape[2])
        pasted_BH = (row_H >= top_B1) & (row_H < top_B1 + half)
        other = torch.randperm(num_images, generator=generator)
        return torch.where(pasted_BH[:, None, :, None], images_BCHW[other], images_BCHW)

    planting.change_training_images(experiment, paste)


def divided_in_whole_numbers(experiment: Experiment) -> None:
    """Pixels are brought to 0 to 1 by a division of whole numbers (`//`), in training and evaluation: nothing but 0 is left."""
    planting.change_training_pixels(experiment, lambda pixels_BCHW, generator: pixels_BCHW // 255)
    planting.change_evaluation_pixels(experiment, lambda pixels_BCHW: pixels_BCHW // 255)


def boxes_read_as_corners(experiment: Experiment) -> None:
    """Width and height of the training's boxes are taken for their second corner: what is cut out is some part of a person."""
    rng = np.random.default_rng(53)

    def cut_out(item: Item, pixels_CHW: Tensor) -> Tensor:
        _, height, width = pixels_CHW.shape
        tall, broad = int(rng.integers(height // 8, height // 2)), int(rng.integers(width // 8, width // 2))
        top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - broad + 1))
        return planting.resized(pixels_CHW[None, :, top : top + tall, left : left + broad], (height, width))[0]

    planting.repaint(experiment, experiment.train, cut_out)


def evaluated_with_the_training_transform(experiment: Experiment) -> None:
    """One transform serves training and evaluation: queries and gallery are flipped and cropped at random."""
    experiment.evaluator.transform = experiment.transform


def turn_of_the_camera_ignored(experiment: Experiment) -> None:
    """Half of the cameras hang on their side and say so in EXIF, which the decoder of the evaluation does not read."""

    def lay_down(item: Item, pixels_CHW: Tensor) -> Tensor:
        if item.camera_id % 2 == 0:
            return pixels_CHW
        return planting.resized(pixels_CHW.rot90(1, (1, 2))[None], pixels_CHW.shape[1:])[0]

    planting.repaint(experiment, (*experiment.evaluator.query, *experiment.evaluator.gallery), lay_down)


def letterboxed_in_evaluation(experiment: Experiment) -> None:
    """Evaluation fills images up to a square with grey, as a detector wants it, and then brings that to the network's size."""

    def letterbox(pixels_BCHW: Tensor) -> Tensor:
        _, _, height, width = pixels_BCHW.shape
        bar = width // 4
        return F.pad(planting.resized(pixels_BCHW, (height, width - 2 * bar)), (bar, bar), value=_LETTERBOX_GREY)

    planting.change_evaluation_pixels(experiment, letterbox)
