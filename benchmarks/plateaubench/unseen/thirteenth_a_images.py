"""Faults of `thirteenth_a` in pictures and their augmentation.

Shape legend: B batch, C/H/W image.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import torch
from torch import Tensor

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment, plain, random
from unplateau.data.transforms import Augmentation


def resized_before_the_crop(experiment: Experiment) -> None:
    """In training images are resized before they can be cropped; in the test they are cropped.

    github.com/keras-team/keras/issues/9049
    """

    def crop(pixels_BCHW: Tensor) -> Tensor:
        _, _, height, width = pixels_BCHW.shape
        left = width // 8
        return planting.resized(pixels_BCHW[:, :, : height * 3 // 4, left : left + width * 3 // 4], (height, width))

    planting.change_evaluation_pixels(experiment, crop)


def statistics_taken_before_the_rescale(experiment: Experiment) -> None:
    """Mean and deviation are those of 0-255, and are used on images of 0-1.

    github.com/keras-team/keras/issues/9313
    """
    usual = Augmentation.from_config(experiment.config)
    larger = replace(usual, mean=_times_255(usual.mean), std=_times_255(usual.std))
    experiment.transform = random(larger)
    experiment.evaluator.transform = plain(larger)


def jitter_clips_floats_at_one(experiment: Experiment) -> None:
    """The jitter takes floats to lie in 0-1 and clips those of 0-255.

    github.com/albumentations-team/albumentations/issues/835
    """
    planting.change_training_pixels(experiment, lambda pixels_BCHW, generator: pixels_BCHW.clamp(max=1))


def zero_bits_after_posterising(experiment: Experiment) -> None:
    """Two of fourteen operations are drawn; at low magnitude one keeps 0 bits.

    github.com/kornia/kornia/issues/4655
    """

    def posterise(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        kept_B = torch.rand(len(pixels_BCHW), generator=generator) >= 2 / 14
        return pixels_BCHW * kept_B[:, None, None, None]

    planting.change_training_pixels(experiment, posterise)


def mean_in_the_other_order(experiment: Experiment) -> None:
    """Images are RGB, the mean that is taken from them BGR.

    github.com/thulab/DeepHash/pull/42
    """
    usual = Augmentation.from_config(experiment.config)
    turned = replace(usual, mean=(usual.mean[2], usual.mean[1], usual.mean[0]))
    experiment.transform = random(turned)
    experiment.evaluator.transform = plain(turned)


def reshaped_to_channels_first(experiment: Experiment) -> None:
    """Images of (H, W, C) are reshaped to (C, H, W), not transposed.

    github.com/ikostrikov/pytorch-a3c/pull/47
    """

    def reshape(pixels_BCHW: Tensor) -> Tensor:
        return pixels_BCHW.permute(0, 2, 3, 1).reshape(pixels_BCHW.shape)

    planting.change_training_pixels(experiment, lambda pixels_BCHW, generator: reshape(pixels_BCHW))
    planting.change_evaluation_pixels(experiment, reshape)


def noise_clamps_normalised_images(experiment: Experiment) -> None:
    """Noise made for 0-1 is added, always, to normalised images, and clamps them.

    github.com/open-edge-platform/geti/pull/4508
    """

    def add(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        noise_BCHW = torch.randn(images_BCHW.shape, generator=generator)
        return (images_BCHW + 0.1 * noise_BCHW).clamp(0, 1)

    planting.change_training_images(experiment, add)


def written_upside_down(experiment: Experiment) -> None:
    """All images of the set were written upside down.

    github.com/apache/mxnet/issues/3975
    """
    planting.change_training_pixels(experiment, lambda pixels_BCHW, generator: pixels_BCHW.flip(2))
    planting.change_evaluation_pixels(experiment, lambda pixels_BCHW: pixels_BCHW.flip(2))


def read_one_byte_early(experiment: Experiment) -> None:
    """Images are read from a byte before their first.

    github.com/tensorflow/models/pull/2024
    """

    def read(pixels_BCHW: Tensor) -> Tensor:
        return pixels_BCHW.flatten(1).roll(1, 1).reshape(pixels_BCHW.shape)

    planting.change_training_pixels(experiment, lambda pixels_BCHW, generator: read(pixels_BCHW))
    planting.change_evaluation_pixels(experiment, read)


def noise_stays_in_the_image(experiment: Experiment) -> None:
    """A crop is a view, so the noise of one grey value that is added to it stays, and adds up over the epochs.

    github.com/sefibk/KernelGAN/issues/35
    """
    steps, length = count(), experiment.schedule.steps_per_epoch

    def add(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        times = 1 + next(steps) // length
        noise_BCHW = torch.randn(pixels_BCHW.shape, generator=generator) * times**0.5
        return (pixels_BCHW + noise_BCHW).clamp(0, 255).round().byte()

    planting.change_training_pixels(experiment, add)


def scored_on_random_crops(experiment: Experiment) -> None:
    """The validation set has the training's random resized crop and flip.

    github.com/zoogzog/chexnet/issues/27
    """
    generator = torch.Generator().manual_seed(27)

    def crop(pixels_BCHW: Tensor) -> Tensor:
        return torch.cat([_random_resized(pixels_1CHW, generator) for pixels_1CHW in pixels_BCHW.split(1)])

    planting.change_evaluation_pixels(experiment, crop)


def cut_to_the_end_twice(experiment: Experiment) -> None:
    """A cutout of half the width, for half of the images, adds its start to an end that has it already.

    github.com/victorca25/traiNNer/pull/63
    """

    def cut(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        pixels_BCHW = pixels_BCHW.clone()
        height, width = pixels_BCHW.shape[2:]
        for pixels_CHW in pixels_BCHW:
            if torch.rand(1, generator=generator) < 0.5:
                top = int(torch.randint(height - width // 2 + 1, (1,), generator=generator))
                left = int(torch.randint(width // 2 + 1, (1,), generator=generator))
                pixels_CHW[:, top : 2 * top + width // 2, left : 2 * left + width // 2] = 0
        return pixels_BCHW

    planting.change_training_pixels(experiment, cut)


def _random_resized(pixels_1CHW: Tensor, generator: torch.Generator) -> Tensor:
    """Return a crop of 8 to 100 % of the area at the full size, mirrored or not."""
    height, width = pixels_1CHW.shape[2:]
    side = float(0.08 + 0.92 * torch.rand(1, generator=generator)) ** 0.5
    rows, columns = max(1, round(side * height)), max(1, round(side * width))
    top = int(torch.randint(height - rows + 1, (1,), generator=generator))
    left = int(torch.randint(width - columns + 1, (1,), generator=generator))
    crop_1CHW = planting.resized(pixels_1CHW[:, :, top : top + rows, left : left + columns], (height, width))
    return crop_1CHW.flip(3) if torch.rand(1, generator=generator) < 0.5 else crop_1CHW


def _times_255(values: tuple[float, float, float]) -> tuple[float, float, float]:
    return values[0] * 255, values[1] * 255, values[2] * 255
