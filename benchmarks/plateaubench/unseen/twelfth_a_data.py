"""Faults of `twelfth_a` in labels, images, augmentation and in how the images of an evaluation are prepared.

Each docstring says what was seen, and in which thread.

Shape legend: B batch, N images, C/H/W image.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment, Transform, plain, random
from unplateau.data.transforms import Augmentation
from unplateau.models.reid import Outputs, ReidModel

_BOXES = 7  # in an image of COCO, on average


def average_that_lags_behind(experiment: Experiment) -> None:
    """Samples of the averaged model were still noise while the model's own were good: a decay of 0.9999 in a short run.

    https://github.com/konpatp/diffae/issues/16
    """
    average, model = copy.deepcopy(experiment.model), experiment.model

    @torch.no_grad()
    def follow(*_: object) -> None:
        torch._foreach_lerp_([*average.parameters()], [*model.parameters()], 1e-4)
        for kept, seen in zip(average.buffers(), model.buffers(), strict=True):
            kept.copy_(seen)

    experiment.optimizers[0].register_step_post_hook(follow)
    experiment.evaluator.model_of = lambda experiment: average


def flip_without_its_result(experiment: Experiment) -> None:
    """The augmentation's functions were called and what they returned was not taken: images stayed as they were.

    https://github.com/xmed-lab/DHC/issues/8
    """
    experiment.transform = plain(Augmentation.for_evaluation(experiment.config))


class WithTheFlipped(nn.Module):
    """A model whose embedding is the sum over an image and its copy turned upside down."""

    def __init__(self, model: ReidModel) -> None:
        super().__init__()
        self.model = model
        self.train(model.training)

    def forward(self, images_BCHW: Tensor, *, camera_ids_B: Tensor | None = None) -> Outputs:
        outputs, other = self.model(images_BCHW), self.model(images_BCHW.flip(2))
        return cast(Outputs, outputs._replace(embeddings_BD=outputs.embeddings_BD + other.embeddings_BD))


def flipped_upside_down_when_tested(experiment: Experiment) -> None:
    """Adding the mirrored image at test time made it worse: on a batch `fliplr` turns images upside down.

    https://github.com/libffcv/ffcv/pull/213
    """
    experiment.evaluator.model_of = lambda experiment: cast(ReidModel, WithTheFlipped(experiment.model))


def augmented_once_for_every_box(experiment: Experiment) -> None:
    """Augmentation did more harm than good: an image was augmented as many times as it has boxes.

    https://github.com/tensorflow/tpu/issues/461
    """
    once = _in_pixels(experiment)

    def often(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        for _ in range(_BOXES - 1):
            pixels_BCHW = once(pixels_BCHW, generator)
        return pixels_BCHW

    planting.change_training_pixels(experiment, often)


def divided_by_255_once_more(experiment: Experiment) -> None:
    """The images of the training's pipeline, and only those, were divided by 255 twice.

    https://github.com/pkmital/pycadl/pull/5
    """
    planting.change_training_pixels(experiment, lambda pixels_BCHW, generator: pixels_BCHW.float() / 255)


def whole_numbers_divided_by_255(experiment: Experiment) -> None:
    """Nothing was learned: images were brought to 0..1 in an array of whole numbers, where each pixel became 0.

    https://github.com/keras-team/keras/issues/255
    """
    planting.change_training_pixels(experiment, lambda pixels_BCHW, generator: pixels_BCHW // 255)
    planting.change_evaluation_pixels(experiment, lambda pixels_BCHW: pixels_BCHW // 255)


def labels_of_the_split_names_of_all(experiment: Experiment) -> None:
    """Data and labels did not match: labels were cut to the split by a mask, and the list of file names was not.

    https://github.com/pytorch/vision/issues/4209
    """
    evaluator = experiment.evaluator
    everyone = sorted((*experiment.train, *evaluator.query, *evaluator.gallery), key=lambda item: item.path)
    order = sorted(range(len(experiment.train)), key=lambda row: experiment.train[row].path)
    path_of = {row: everyone[place].path for place, row in enumerate(order)}
    experiment.train = tuple(replace(item, path=path_of[row]) for row, item in enumerate(experiment.train))


def files_as_the_folder_gives_them(experiment: Experiment) -> None:
    """Features and labels lie in two folders; each is listed in whatever order the file system gives, unsorted.

    https://github.com/chuanyangjin/fast-DiT/issues/4
    """
    shuffled = np.random.default_rng(12).permutation(len(experiment.labels_N))
    experiment.labels_N = experiment.labels_N[shuffled]


def width_given_for_height(experiment: Experiment) -> None:
    """The image to be predicted was resized with width and height exchanged.

    https://github.com/facebookarchive/caffe2/pull/898
    """
    planting.change_evaluation_pixels(experiment, lambda p_BCHW: planting.resized(p_BCHW, (p_BCHW.shape[3], p_BCHW.shape[2])))


def inference_on_blue_first(experiment: Experiment) -> None:
    """Training uses RGB; the script for inference reads with OpenCV and hands on blue first.

    https://github.com/yhenon/pytorch-retinanet/pull/242
    """
    planting.change_evaluation_pixels(experiment, lambda pixels_BCHW: pixels_BCHW.flip(1))


def jitter_of_zeros_cuts_at_one(experiment: Experiment) -> None:
    """A colour jitter of nothing changed the images totally: they went to 255, and it cuts at 1.

    https://github.com/kornia/kornia/issues/749
    """
    planting.change_training_pixels(experiment, lambda pixels_BCHW, generator: pixels_BCHW.float().clamp(max=1))


def jitter_after_normalisation(experiment: Experiment) -> None:
    """The colour jitter stood after the normalisation: what lies outside of 0..1 is cut off.

    https://github.com/mlfoundations/open_flamingo/pull/156
    """

    def jitter(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        return (images_BCHW * _uniform(len(images_BCHW), (0.5, 1.5), generator)).clamp(0, 1)

    planting.change_training_images(experiment, jitter)


def brightness_of_a_twentieth(experiment: Experiment) -> None:
    """Images were quite dark: brightness was drawn from 0 to 0.05 instead of from 0.95 to 1.05.

    https://github.com/behzadhsni/BReG-NeXt/pull/7
    """

    def darken(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        return (pixels_BCHW * _uniform(len(pixels_BCHW), (0.0, 0.05), generator)).round().byte()

    planting.change_training_pixels(experiment, darken)


def _in_pixels(experiment: Experiment) -> Transform:
    """Return the training's augmentation from uint8 to uint8."""
    augment = random(replace(Augmentation.from_config(experiment.config), mean=(0.0,) * 3, std=(1.0,) * 3))
    return lambda pixels_BCHW, generator: augment(pixels_BCHW, generator).round().byte()


def _uniform(num_images: int, limits: tuple[float, float], generator: torch.Generator) -> Tensor:
    low, high = limits
    return low + (high - low) * torch.rand(num_images, 1, 1, 1, generator=generator)
