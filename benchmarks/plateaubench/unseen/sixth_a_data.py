"""Faults of the first half of `sixth` in pictures, labels and augmentation.

Shape legend: B batch, N images, C/H/W image.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import RandAugment
from torchvision.transforms.functional import equalize

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.items import Item


def only_the_files_are_shuffled(experiment: Experiment) -> None:
    """The data set shuffles its list of files at the beginning of each epoch, and leaves its list of labels as it is."""
    usual, pictures = experiment.plan, experiment.pictures
    paths = [item.path for item in experiment.train]

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([experiment.config.SEED, epoch, 61])
        rows = rng.permutation([pictures.row_of_path[path] for path in paths]).tolist()
        experiment.pictures = replace(pictures, row_of_path={**pictures.row_of_path, **dict(zip(paths, rows, strict=True))})
        return usual(experiment, epoch)

    experiment.plan = plan


def label_of_the_first_image(experiment: Experiment) -> None:
    """The collate function makes the labels of a batch from its first image, again and again."""
    planting.change_batch(
        experiment, lambda batch: replace(batch, person_ids_B=batch.person_ids_B[:1].repeat(len(batch.person_ids_B)))
    )


def label_from_the_place_in_the_list(experiment: Experiment) -> None:
    """A label is `row // n`, from a data set with n images of everybody, two more than there are of a person here."""
    images_each = len(experiment.labels_N) // experiment.num_identities + 2
    experiment.labels_N = np.arange(len(experiment.labels_N), dtype=np.int64) // images_each


def one_file_handle_for_all_workers(experiment: Experiment) -> None:
    """Processes share the position in one open file, so that many reads give the image that another one asked for."""
    pictures, rows = experiment.pictures, [experiment.pictures.row_of_path[item.path] for item in experiment.train]
    train_NCHW = pictures.pixels_NCHW[rows]

    def read(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        disturbed_B = torch.rand(len(pixels_BCHW), generator=generator) < 0.6
        other_B = torch.randint(len(train_NCHW), (len(pixels_BCHW),), generator=generator)
        return torch.where(disturbed_B[:, None, None, None], train_NCHW[other_B], pixels_BCHW)

    planting.change_training_pixels(experiment, read)


def boxes_of_another_moment(experiment: Experiment) -> None:
    """Boxes are for 30 images a second and the video has 25: training images show what is beside a person."""
    rng = np.random.default_rng(62)

    def cut_out(item: Item, pixels_CHW: Tensor) -> Tensor:
        width = pixels_CHW.shape[2]
        moved = int(rng.choice([-1, 1]) * width * rng.uniform(0.5, 1.1))
        return pixels_CHW[:, :, (torch.arange(width) + moved).clamp(0, width - 1)]

    planting.repaint(experiment, experiment.train, cut_out)


def normalised_twice(experiment: Experiment) -> None:
    """Training images are normalised by their transform, and once more by the loop."""
    model = experiment.config.MODEL
    mean_C11, std_C11 = (torch.tensor(values)[:, None, None] / 255 for values in (model.PIXEL_MEAN, model.PIXEL_STD))
    planting.change_training_images(experiment, lambda images_BCHW, generator: (images_BCHW - mean_C11) / std_C11)


def blank_image_divided_by_its_deviation(experiment: Experiment) -> None:
    """Each image is brought to mean 0 and deviation 1 by itself; a few files are black, and 0 divided by 0 is not a number."""
    order_N = np.random.default_rng(experiment.config.SEED + 63).permutation(len(experiment.train))
    few = [experiment.train[row] for row in order_N[: max(1, len(order_N) // 50)]]
    planting.repaint(experiment, few, lambda item, pixels_CHW: pixels_CHW * 0)

    def standardised(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        values_BCHW = pixels_BCHW.float().contiguous(memory_format=torch.channels_last)
        mean_B111, std_B111 = values_BCHW.mean((1, 2, 3), keepdim=True), values_BCHW.std((1, 2, 3), keepdim=True)
        return (values_BCHW - mean_B111) / std_B111

    experiment.transform = experiment.evaluator.transform = standardised


def augmented_at_full_strength(experiment: Experiment) -> None:
    """RandAugment is given 30 for its strength, which is the end of its scale, and four operations an image."""
    augment = RandAugment(num_ops=4, magnitude=30)

    def change(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        seed = int(torch.randint(2**31, (), generator=generator))
        with torch.random.fork_rng(devices=[]):  # it draws from torch's own generator
            torch.manual_seed(seed)
            return torch.stack([augment(pixels_CHW) for pixels_CHW in pixels_BCHW])

    planting.change_training_pixels(experiment, change)


def mosaic_of_four(experiment: Experiment) -> None:
    """A mosaic, as for detectors: each training image is put together from four, and the label is that of the first."""

    def mosaic(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        small_BCHW = planting.resized(pixels_BCHW, (pixels_BCHW.shape[2] // 2, pixels_BCHW.shape[3] // 2))
        second, third, fourth = (small_BCHW[torch.randperm(len(small_BCHW), generator=generator)] for _ in range(3))
        return torch.cat([torch.cat([small_BCHW, second], 3), torch.cat([third, fourth], 3)], 2)

    planting.change_training_pixels(experiment, mosaic)


def pieces_shuffled(experiment: Experiment) -> None:
    """A jigsaw of pieces of 4 by 4 pixels, a size for images eight times as large; evaluation shows images whole."""

    def jigsaw(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        size_HW = (pixels_BCHW.shape[2], pixels_BCHW.shape[3])
        pieces_BDP = F.unfold(pixels_BCHW.float(), 4, stride=4)
        order_BP = torch.rand(pieces_BDP.shape[0], pieces_BDP.shape[2], generator=generator).argsort(1)
        return F.fold(pieces_BDP.gather(2, order_BP[:, None].expand_as(pieces_BDP)), size_HW, 4, stride=4).byte()

    planting.change_training_pixels(experiment, jigsaw)


def flip_turns_the_colours_round(experiment: Experiment) -> None:
    """The random flip goes over the first axis, which is the channels: red and blue change places in half of the images."""

    def flip(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        flipped_B = torch.rand(len(pixels_BCHW), generator=generator) < 0.5
        return torch.where(flipped_B[:, None, None, None], pixels_BCHW.flip(1), pixels_BCHW)

    planting.change_training_pixels(experiment, flip)


def gallery_files_missing(experiment: Experiment) -> None:
    """The copy of the gallery broke off; a file that is missing is read as a black image."""
    rng = np.random.default_rng(64)
    planting.repaint(experiment, experiment.evaluator.gallery, lambda item, p_CHW: p_CHW * 0 if rng.random() < 0.6 else p_CHW)


def equalised_in_evaluation(experiment: Experiment) -> None:
    """The histogram of evaluation images is equalised, as an older program for the same cameras did."""
    planting.change_evaluation_pixels(experiment, equalize)
