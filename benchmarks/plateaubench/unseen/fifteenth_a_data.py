"""Faults of labels, images and augmentation, for `fifteenth_a`.

Shape legend: B batch, N images, C/H/W image.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment, Transform
from unplateau.data.items import Item


def crops_of_eight_percent(experiment: Experiment) -> None:
    """Slow to train with the default scale of a resized crop, 0.08 to 1. https://github.com/pytorch/vision/issues/503"""

    def crop(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        return torch.stack([_resized_crop(pixels_CHW, generator) for pixels_CHW in pixels_BCHW])

    planting.change_training_pixels(experiment, crop)


def _resized_crop(pixels_CHW: Tensor, generator: torch.Generator) -> Tensor:
    """Return a part of 8 to 100 % of the area, up to a third wider or taller in its shape, at the size of the whole."""
    height, width = pixels_CHW.shape[1:]
    share, stretch, down, right = torch.rand(4, generator=generator).tolist()
    side, aspect = (0.08 + 0.92 * share) ** 0.5, (4 / 3) ** (stretch - 0.5)
    rows, columns = min(height, max(2, round(height * side * aspect))), min(width, max(2, round(width * side / aspect)))
    top, left = int(down * (height - rows + 1)), int(right * (width - columns + 1))
    return planting.resized(pixels_CHW[None, :, top : top + rows, left : left + columns], (height, width))[0]


def noise_as_loud_as_the_signal(experiment: Experiment) -> None:
    """White noise at a ratio of signal to noise of 1.0, by default.

    https://github.com/Spijkervet/torchaudio-augmentations/issues/4
    """

    def add(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        loudness_B = images_BCHW.flatten(1).std(dim=1)
        noise = torch.randn(images_BCHW.shape, generator=generator)
        return images_BCHW + noise * loudness_B[:, None, None, None]

    planting.change_training_images(experiment, add)


def rotated_by_twice_the_angle(experiment: Experiment) -> None:
    """Clamped at twice the largest angle: up to 60 degrees. https://github.com/bearpaw/pytorch-pose/issues/23"""

    def draw(number: int, generator: torch.Generator) -> Tensor:
        angles_B = (30 * torch.randn(number, generator=generator)).clamp(-60, 60)
        return angles_B * (torch.rand(number, generator=generator) <= 0.6)

    planting.change_training_images(experiment, lambda images, generator: rotated(images, draw(len(images), generator)))


def rotated_by_any_number_of_intervals(experiment: Experiment) -> None:
    """30 is the interval and not the limit: 0, 30 to 330. https://github.com/kevinlin311tw/caffe-augmentation/issues/8"""

    def turn(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        return rotated(images_BCHW, 30.0 * torch.randint(12, (len(images_BCHW),), generator=generator))

    planting.change_training_images(experiment, turn)


def rotated(images_BCHW: Tensor, degrees_B: Tensor) -> Tensor:
    """Return images turned about their middle, with zeros where there was nothing."""
    height, width = images_BCHW.shape[2:]
    sine_B, cosine_B = torch.deg2rad(degrees_B).sin(), torch.deg2rad(degrees_B).cos()
    zero_B = torch.zeros_like(sine_B)
    first = torch.stack([cosine_B, -sine_B * height / width, zero_B], dim=1)
    second = torch.stack([sine_B * width / height, cosine_B, zero_B], dim=1)
    grid = F.affine_grid(torch.stack([first, second], dim=1), list(images_BCHW.shape), align_corners=False)
    turned = F.grid_sample(images_BCHW, grid, align_corners=False)
    return turned.contiguous(memory_format=torch.channels_last)


def scored_in_bgr_and_cropped_once_more(experiment: Experiment) -> None:
    """Scores too low: test images stay in BGR and are cropped a second time. https://github.com/peteryuX/arcface-tf2/issues/40"""

    def prepare(pixels_BCHW: Tensor) -> Tensor:
        height, width = pixels_BCHW.shape[2:]
        top, left = height // 16, width // 16
        inner = pixels_BCHW.flip(1)[:, :, top : height - top, left : width - left]
        return planting.resized(inner, (height, width))

    planting.change_evaluation_pixels(experiment, prepare)


def cropped_to_zeros(experiment: Experiment) -> None:
    """Cropping casts images of 0 to 1 to whole numbers: all black. https://github.com/UTokyo-FieldPhenomics-Lab/EasyIDP/issues/62"""
    planting.repaint(experiment, experiment.train, lambda item, p_CHW: (p_CHW / 256).byte())


def bytes_of_doubles_taken_for_pixels(experiment: Experiment) -> None:
    """Grey values in double precision are handed over as bytes. https://github.com/python-pillow/Pillow/issues/3781"""

    def misread(item: Item, pixels_CHW: Tensor) -> Tensor:
        grey_HW = np.einsum("chw,c->hw", pixels_CHW.numpy().astype(np.float64), np.array([0.2125, 0.7154, 0.0721]))
        raw = np.frombuffer(grey_HW.tobytes(), dtype=np.uint8)[: grey_HW.size].reshape(grey_HW.shape)
        return torch.from_numpy(raw.copy()).expand(pixels_CHW.shape)

    planting.repaint(experiment, _all_items(experiment), misread)


def filter_counts_from_zero_in_each_batch(experiment: Experiment) -> None:
    """A filter numbers what it keeps anew in each batch. https://github.com/huggingface/datasets/issues/5112"""
    size = len(experiment.train)
    keep(experiment, np.arange(size) % min(100, size // 2))


def coarse_labels(experiment: Experiment) -> None:
    """20 groups of five are read for 100 classes. https://github.com/YimianDai/open-aff/issues/14"""
    experiment.labels_N = experiment.labels_N // min(5, experiment.num_identities // 8)


def both_sets_numbered_from_zero(experiment: Experiment) -> None:
    """Two sets are joined, people of each are numbered from 0. https://github.com/KaiyangZhou/deep-person-reid/issues/489"""
    experiment.labels_N = experiment.labels_N % (experiment.num_identities // 2)


def second_video_overwrites_the_first(experiment: Experiment) -> None:
    """Merged by file name, 125 of 425 images are lost. https://github.com/open-edge-platform/datumaro/issues/853"""
    keep(experiment, np.arange(len(experiment.train) * 125 // 425, len(experiment.train)))


def whole_numbers_after_standardising(experiment: Experiment) -> None:
    """Standardised images keep the type of whole numbers. https://github.com/tensorflow/tensorflow/issues/33892"""
    change_all_images(experiment, torch.trunc)


def keep(experiment: Experiment, rows: np.ndarray) -> None:
    """Let these rows of the training items be the training set."""
    experiment.train = tuple(experiment.train[row] for row in rows)
    experiment.labels_N = experiment.labels_N[rows]


def change_all_images(experiment: Experiment, change: Callable[[Tensor], Tensor]) -> None:
    """Change float images of training and evaluation after their transforms."""
    planting.change_training_images(experiment, lambda images, generator: change(images))
    usual: Transform = experiment.evaluator.transform
    experiment.evaluator.transform = lambda pixels, generator: change(usual(pixels, generator))


def _all_items(experiment: Experiment) -> tuple[Item, ...]:
    return (*experiment.train, *experiment.evaluator.query, *experiment.evaluator.gallery)
