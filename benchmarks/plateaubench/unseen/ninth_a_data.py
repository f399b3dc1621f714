"""Faults of the first half of `ninth` in pictures, labels and augmentation.

Shape legend: B batch, N images, C/H/W image.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import gaussian_blur

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.items import Item

_HEADER = 128  # bytes, of a file of numpy
_GREY = 128  # of a decoder that has no picture to begin from


def axes_exchanged(experiment: Experiment) -> None:
    """Training images go from (H, W, C) to (C, W, H) by `transpose(2, 1, 0)`: people lie on their side, mirrored."""
    planting.change_training_pixels(
        experiment, lambda pixels_BCHW, generator: planting.resized(pixels_BCHW.transpose(2, 3), pixels_BCHW.shape[2:])
    )


def resized_by_numpy(experiment: Experiment) -> None:
    """Training images, twice as large, are brought to size by `np.resize`, which takes the first of their numbers, row by row."""

    def cut_off(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        num_images, channels, height, width = pixels_BCHW.shape
        large_BHWC = planting.resized(pixels_BCHW, (2 * height, 2 * width)).permute(0, 2, 3, 1)
        kept_BHWC = large_BHWC.flatten(1)[:, : height * width * channels].reshape(num_images, height, width, channels)
        return kept_BHWC.permute(0, 3, 1, 2).contiguous()

    planting.change_training_pixels(experiment, cut_off)


def opacity_read_as_red(experiment: Experiment) -> None:
    """Rendered training images are stored as opacity, red, green, blue, and the first three are taken for the colours."""

    def first_three(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        return torch.cat([torch.full_like(pixels_BCHW[:, :1], 255), pixels_BCHW[:, :2]], 1)

    planting.change_training_pixels(experiment, first_three)


def made_into_pictures_twice(experiment: Experiment) -> None:
    """`ToPILImage` multiplies floats by 255; the training's are 0 to 255 already, and bytes begin anew: negatives come out."""
    planting.change_training_pixels(experiment, lambda pixels_BCHW, generator: pixels_BCHW * 255)


def sent_as_bytes(experiment: Experiment) -> None:
    """Training images are normalised and then sent as bytes, to save time: -2 to 2 becomes 254, 255, 0, 1 and 2."""
    planting.change_training_images(
        experiment, lambda images_BCHW, generator: images_BCHW.to(torch.int16).to(torch.uint8).float()
    )


def frames_before_a_whole_picture(experiment: Experiment) -> None:
    """Video was cut between key frames: most training images are grey, and only what moved since the frame before is drawn."""
    rng = np.random.default_rng(91)

    def decode(item: Item, pixels_CHW: Tensor) -> Tensor:
        if rng.random() < 0.1:
            return pixels_CHW
        moved_CHW = pixels_CHW.float() - pixels_CHW.roll((1, 1), (1, 2)).float()
        return (_GREY + moved_CHW).clamp(0, 255).byte()

    planting.repaint(experiment, experiment.train, decode)


def elastic_as_for_large_images(experiment: Experiment) -> None:
    """An elastic deformation has the settings of images of a thousand pixels: places move by a third of an image."""

    def deform(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        num_images, _, height, width = pixels_BCHW.shape
        noise_B2HW = 2 * torch.rand(num_images, 2, height, width, generator=generator) - 1
        moved_B2HW = 1000 * gaussian_blur(noise_B2HW, [31, 31], [8.0, 8.0])
        share_BHW2 = moved_B2HW.permute(0, 2, 3, 1) / torch.tensor([width, height])
        plain_B23 = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).expand(num_images, 2, 3)
        grid_BHW2 = F.affine_grid(plain_B23, list(pixels_BCHW.shape), align_corners=False) + share_BHW2
        return F.grid_sample(pixels_BCHW.float(), grid_BHW2, align_corners=False).round().byte()

    planting.change_training_pixels(experiment, deform)


def fog_on_every_image(experiment: Experiment) -> None:
    """Fog is drawn as for pictures of a road, between 0.3 and all of the light, and on every image instead of one in ten."""

    def cover(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        fog_B111 = 0.3 + 0.7 * torch.rand(len(pixels_BCHW), 1, 1, 1, generator=generator)
        return ((1 - fog_B111) * pixels_BCHW + 255 * fog_B111).byte()

    planting.change_training_pixels(experiment, cover)


def joined_on_a_key_that_repeats(experiment: Experiment) -> None:
    """Images and people are joined on a file name that three folders have: each image is listed with three people."""
    usual, steps, rng = experiment.plan, len(experiment.plan(experiment, 1)), np.random.default_rng(92)
    others = rng.integers(0, experiment.num_identities, (2, len(experiment.labels_N)))
    experiment.train = 3 * experiment.train
    experiment.labels_N = np.concatenate([experiment.labels_N, *others])
    experiment.plan = lambda experiment, epoch: usual(experiment, epoch)[:steps]


def headers_read_as_pixels(experiment: Experiment) -> None:
    """Training images lie in one file, each behind a header that the reader does not know: each begins a little more late."""
    pixels_NCHW = experiment.pictures.of(experiment.train)
    records_NX = F.pad(pixels_NCHW.permute(0, 2, 3, 1).flatten(1), (_HEADER, 0))
    size, shape_HWC = pixels_NCHW[0].numel(), pixels_NCHW.permute(0, 2, 3, 1).shape[1:]
    read_NCHW = records_NX.flatten()[: len(pixels_NCHW) * size].view(-1, *shape_HWC).permute(0, 3, 1, 2)
    numbers = iter(range(len(read_NCHW)))
    planting.repaint(experiment, experiment.train, lambda item, pixels_CHW: read_NCHW[next(numbers)])


def hash_for_a_label(experiment: Experiment) -> None:
    """The label is a hash of the person's name modulo the number of people: two of three share theirs with somebody."""
    people = experiment.num_identities
    hashes = [zlib.crc32(f"{item.person_id:04d}".encode()) % people for item in experiment.train]
    experiment.labels_N = np.array(hashes, dtype=np.int64)


def gallery_of_the_training_folder(experiment: Experiment) -> None:
    """The path of the gallery is that of the training images: nobody who is looked for is there."""
    experiment.evaluator.gallery = experiment.train
