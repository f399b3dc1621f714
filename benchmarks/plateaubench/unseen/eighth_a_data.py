"""Faults of the first half of `eighth` in pictures, labels and augmentation.

Shape legend: B batch, N images, I identities, C/H/W image.
"""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur, posterize

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment, random
from unplateau.data.items import Item
from unplateau.data.transforms import Augmentation

_DATA_SETS = 4


def mean_and_deviation_exchanged(experiment: Experiment) -> None:
    """`Normalize(std, mean)`: the training's transform is given the two in the wrong order; evaluation has one of its own."""
    usual = Augmentation.from_config(experiment.config)
    experiment.transform = random(replace(usual, mean=usual.std, std=usual.mean))


def divided_again_where_augmented(experiment: Experiment) -> None:
    """Half of the images go through an augmentation that gives 0 to 1; the line after it divides all of them by 255."""
    settings = experiment.config.MODEL
    mean_C11, std_C11 = (torch.tensor(values)[:, None, None] for values in (settings.PIXEL_MEAN, settings.PIXEL_STD))

    def divide(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        augmented_B = torch.rand(len(images_BCHW), generator=generator) < 0.5
        dark_BCHW = ((images_BCHW * std_C11 + mean_C11) / 255 - mean_C11) / std_C11
        return torch.where(augmented_B[:, None, None, None], dark_BCHW, images_BCHW)

    planting.change_training_images(experiment, divide)


def gamma_of_whole_numbers(experiment: Experiment) -> None:
    """`image ** gamma` is meant for 0 to 1 and gets 0 to 255: images come out nearly black or all white."""

    def correct(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        gamma_B = 0.5 + torch.rand(len(pixels_BCHW), generator=generator)
        return (pixels_BCHW.float() ** gamma_B[:, None, None, None]).clamp(0, 255).byte()

    planting.change_training_pixels(experiment, correct)


def saved_with_a_quality_of_one(experiment: Experiment) -> None:
    """Compression as augmentation is given shares (0.01 to 0.05) as hundredths: a JPEG of quality 1 to 5, of every image."""

    def compress(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        quality_B = torch.randint(1, 6, (len(pixels_BCHW),), generator=generator).tolist()
        return torch.stack([_compressed(p_CHW, quality) for p_CHW, quality in zip(pixels_BCHW, quality_B, strict=True)])

    planting.change_training_pixels(experiment, compress)


def blurred_as_large_images(experiment: Experiment) -> None:
    """The blur of another recipe is 23 pixels wide, for images several times as large, and comes on every image."""

    def blur(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        return gaussian_blur(pixels_BCHW, [23, 23], [5.0, 5.0])

    planting.change_training_pixels(experiment, blur)


def posterised_to_no_bit(experiment: Experiment) -> None:
    """The strength of an augmentation is read as bits to keep, and the strongest keeps none: half of the images are black."""

    def keep(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        chosen_B = torch.rand(len(pixels_BCHW), generator=generator) < 0.5
        return torch.where(chosen_B[:, None, None, None], posterize(pixels_BCHW, 0), pixels_BCHW)

    planting.change_training_pixels(experiment, keep)


def background_removed_in_training(experiment: Experiment) -> None:
    """Training images were cut free of their background, which is black now; queries and gallery were not."""

    def cut_free(item: Item, pixels_CHW: Tensor) -> Tensor:
        free_CHW = torch.zeros_like(pixels_CHW)
        free_CHW[:, 3:-3, 6:-6] = pixels_CHW[:, 3:-3, 6:-6]
        return free_CHW

    planting.repaint(experiment, experiment.train, cut_free)


def neighbouring_frames(experiment: Experiment) -> None:
    """All training images of a person are frames of one moment of a video, a tenth of a second apart."""
    pictures, rng = experiment.pictures, np.random.default_rng(81)
    first: dict[int, Item] = {}

    def frame(item: Item, pixels_CHW: Tensor) -> Tensor:
        (moment_CHW,) = pictures.of([first.setdefault(item.person_id, item)])
        moved_CHW = moment_CHW.roll(rng.integers(-1, 2, 2).tolist(), (1, 2)).float() * rng.uniform(0.97, 1.03)
        return moved_CHW.clamp(0, 255).byte()

    planting.repaint(experiment, experiment.train, frame)


def tracks_linked_to_others(experiment: Experiment) -> None:
    """Half of the tracks, which are a person's images in one camera, were linked to another person's tracks."""
    cameras_N, rng = np.array([item.camera_id for item in experiment.train]), np.random.default_rng(82)
    people = experiment.num_identities
    tracks, track_N = np.unique(experiment.labels_N * (cameras_N.max() + 1) + cameras_N, return_inverse=True)
    is_wrong, other = rng.random(len(tracks)) < 0.5, rng.integers(0, people, len(tracks))
    experiment.labels_N = np.where(is_wrong[track_N], other[track_N], experiment.labels_N)


def labels_clamped_to_the_classifier(experiment: Experiment) -> None:
    """Labels are the numbers of the file names, and `clamp(max=I - 1)` stops the error that this gave."""
    numbers_N = np.array([item.person_id for item in experiment.train], dtype=np.int64)
    experiment.labels_N = numbers_N.clip(max=experiment.num_identities - 1)


def data_sets_share_numbers(experiment: Experiment) -> None:
    """Four data sets are put together, each with people from 0 on; the classifier has room for all, and labels overlap."""
    needed = experiment.config.SOLVER.IMS_PER_BATCH // experiment.config.DATALOADER.NUM_INSTANCE  # by the sampler, for a batch
    experiment.labels_N = experiment.labels_N % max(experiment.num_identities // _DATA_SETS, needed)


def people_and_cameras_exchanged(experiment: Experiment) -> None:
    """The evaluation unpacks (camera, person) from what gives (person, camera)."""
    evaluator = experiment.evaluator
    evaluator.query, evaluator.gallery = (
        tuple(replace(item, person_id=item.camera_id, camera_id=item.person_id) for item in items)
        for items in (evaluator.query, evaluator.gallery)
    )


def _compressed(pixels_CHW: Tensor, quality: int) -> Tensor:
    """Return uint8 pixels as a JPEG of this quality, 1 to 95, gives them back."""
    file = io.BytesIO()
    Image.fromarray(pixels_CHW.permute(1, 2, 0).contiguous().numpy()).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)
