"""Faults of `fourth` in pictures, labels and augmentation.

Shape legend: B batch, N images, C/H/W image.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from benchmarks.plateaubench.faults_of_data import give_classifier
from unplateau.data.items import Item

_GREY_C = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601, as Pillow
_YCBCR_CC = torch.tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])  # JFIF 1.02


def always_grey(experiment: Experiment) -> None:
    """Random grey images come with a probability of 1 where 0.1 was meant; evaluation is in colour."""

    def grey(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        shade_BHW = torch.einsum("c,bchw->bhw", _GREY_C, pixels_BCHW.float()).round().byte()
        return shade_BHW[:, None].expand_as(pixels_BCHW).contiguous()

    planting.change_training_pixels(experiment, grey)


def erased_nearly_whole(experiment: Experiment) -> None:
    """Random erasing takes the smallest area it may leave for the smallest it may cover: hardly a rim is left."""

    def erase(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        num_images, _, height, width = images_BCHW.shape
        shares_B2 = 0.8 + 0.2 * torch.rand(num_images, 2, generator=generator)
        sizes_B2 = (shares_B2 * torch.tensor([height, width])).long()
        starts_B2 = (torch.rand(num_images, 2, generator=generator) * (torch.tensor([height, width]) - sizes_B2 + 1)).long()
        return images_BCHW * ~_inside(starts_B2, sizes_B2, (height, width))[:, None]

    planting.change_training_images(experiment, erase)


def turned_all_round(experiment: Experiment) -> None:
    """Images are turned by an angle of up to 180 degrees, as is usual for things seen from above."""

    def turn(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        angle_B = math.pi * (2 * torch.rand(len(pixels_BCHW), generator=generator) - 1)
        aspect = pixels_BCHW.shape[2] / pixels_BCHW.shape[3]
        cosine_B, sine_B, zero_B = angle_B.cos(), angle_B.sin(), torch.zeros(len(pixels_BCHW))
        rows = [cosine_B, -sine_B * aspect, zero_B, sine_B / aspect, cosine_B, zero_B]
        grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(pixels_BCHW.shape), align_corners=False)
        return F.grid_sample(pixels_BCHW.float(), grid, align_corners=False).round().byte()

    planting.change_training_pixels(experiment, turn)


def brightness_in_tenths(experiment: Experiment) -> None:
    """Jitter of brightness is 9 where 0.9 was meant, so that factors go from 0 to 10 and most images are white."""

    def jitter(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        factor_B = 10 * torch.rand(len(pixels_BCHW), generator=generator)
        return (pixels_BCHW * factor_B[:, None, None, None]).clamp(0, 255).byte()

    planting.change_training_pixels(experiment, jitter)


def read_from_thumbnails(experiment: Experiment) -> None:
    """Training reads the small previews of the files, enlarged; evaluation reads the files."""

    def preview(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        return planting.resized(planting.resized(pixels_BCHW, (8, 4)), pixels_BCHW.shape[2:])

    planting.change_training_pixels(experiment, preview)


def height_for_width(experiment: Experiment) -> None:
    """The training's resize is given (height, width) and takes (width, height): people are short and broad, in training only."""
    planting.change_training_pixels(
        experiment, lambda pixels_BCHW, generator: planting.resized(pixels_BCHW, pixels_BCHW.shape[:1:-1])
    )


def colours_not_converted(experiment: Experiment) -> None:
    """The fast decoder of the training gives brightness and two colour differences, and nobody converts them to RGB."""

    def decode(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        offset_C = torch.tensor([0.0, 128.0, 128.0])[:, None, None]
        return (torch.einsum("dc,bchw->bdhw", _YCBCR_CC, pixels_BCHW.float()) + offset_C).clamp(0, 255).round().byte()

    planting.change_training_pixels(experiment, decode)


def mean_taken_off_in_eight_bits(experiment: Experiment) -> None:
    """The mean is subtracted from eight-bit pixels, where 0 - 1 is 255; in training and evaluation alike."""
    mean_C = torch.tensor(experiment.config.MODEL.PIXEL_MEAN).byte()[:, None, None]
    planting.change_training_pixels(experiment, lambda pixels_BCHW, generator: pixels_BCHW - mean_C)
    planting.change_evaluation_pixels(experiment, lambda pixels_BCHW: pixels_BCHW - mean_C)


def person_masked_out(experiment: Experiment) -> None:
    """The mask that should take away the background of training images is inverted and takes away the person."""

    def mask(item: Item, pixels_CHW: Tensor) -> Tensor:
        pixels_CHW[:, 3:-3, 6:-6] = 0
        return pixels_CHW

    planting.repaint(experiment, experiment.train, mask)


def augmented_in_place(experiment: Experiment) -> None:
    """Random erasing works on the cached image itself, so that every epoch erases more of it."""
    usual, damaged = experiment.plan, [1]

    def erase(experiment: Experiment, epoch: int) -> None:
        rng = np.random.default_rng([experiment.config.SEED, epoch])

        def paint(item: Item, pixels_CHW: Tensor) -> Tensor:
            top, left = rng.integers(-8, 48), rng.integers(-4, 24)
            pixels_CHW[:, max(top, 0) : top + 24, max(left, 0) : left + 12] = 0
            return pixels_CHW

        planting.repaint(experiment, experiment.train, paint)

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        while damaged[0] < epoch:
            damaged[0] += 1
            erase(experiment, damaged[0])
        return usual(experiment, epoch)

    experiment.plan = plan


def labels_not_filtered_along(experiment: Experiment) -> None:
    """Small images were taken out of the list of files, and nothing out of the list of labels: they drift apart."""
    rows = np.flatnonzero(np.random.default_rng(41).random(len(experiment.train)) > 0.15)
    experiment.train = tuple(experiment.train[row] for row in rows)
    experiment.labels_N = experiment.labels_N[: len(rows)]


def outliers_share_the_last_label(experiment: Experiment) -> None:
    """Clustering left half of the images over and calls them -1, which as an index is the last person."""
    left_over_N = np.random.default_rng(experiment.config.SEED + 42).random(len(experiment.labels_N)) < 0.5
    experiment.labels_N = np.where(left_over_N, experiment.num_identities - 1, experiment.labels_N)


def data_set_listed_twice(experiment: Experiment) -> None:
    """One folder is read under two names, and the people of the second are counted on: everybody has two labels."""
    people, usual, steps = experiment.num_identities, experiment.plan, len(experiment.plan(experiment, 1))
    again = tuple(replace(item, person_id=item.person_id + 10000, dataset="second") for item in experiment.train)
    experiment.train = (*experiment.train, *again)
    experiment.labels_N = np.concatenate([experiment.labels_N, experiment.labels_N + people])
    experiment.plan = lambda experiment, epoch: usual(experiment, epoch)[:steps]
    give_classifier(experiment, 2 * people)


def boxes_of_passers_by(experiment: Experiment) -> None:
    """Where somebody else walks past, the tracker cut out that one: two of five images of a person show a stranger."""
    rng, pictures = np.random.default_rng(experiment.config.SEED + 43), experiment.pictures
    strangers = (*experiment.evaluator.gallery, *experiment.evaluator.query)

    def cut_out(item: Item, pixels_CHW: Tensor) -> Tensor:
        return pictures.of([strangers[rng.integers(len(strangers))]])[0] if rng.random() < 0.4 else pixels_CHW

    planting.repaint(experiment, experiment.train, cut_out)


def _inside(starts_B2: Tensor, sizes_B2: Tensor, size_HW: tuple[int, int]) -> Tensor:
    """Return bool (B, H, W): inside each image's rectangle."""
    inside = []
    for axis, length in enumerate(size_HW):
        place_L = torch.arange(length)
        start_B1 = starts_B2[:, axis, None]
        inside.append((place_L >= start_B1) & (place_L < start_B1 + sizes_B2[:, axis, None]))
    return inside[0][:, :, None] & inside[1][:, None, :]
