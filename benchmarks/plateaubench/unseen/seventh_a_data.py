"""Faults of the first half of `seventh` in pictures, labels and augmentation.

Shape legend: B batch, N images, I identities, C/H/W image.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import solarize

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment, random
from benchmarks.plateaubench.faults_of_data import give_classifier
from benchmarks.plateaubench.recipe import Pictures
from unplateau.data.items import Item
from unplateau.data.loader import Batch
from unplateau.data.transforms import Augmentation


def normalised_in_place_each_epoch(experiment: Experiment) -> None:
    """Images are kept as floats and normalised in place (`image -= mean; image /= std`): once more each time they are read."""
    usual, reached = experiment.plan, [1]
    model = experiment.config.MODEL
    mean_C11, std_C11 = (torch.tensor(values)[:, None, None] / 255 for values in (model.PIXEL_MEAN, model.PIXEL_STD))

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        reached[0] = max(reached[0], epoch)
        return usual(experiment, epoch)

    def again(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        for _ in range(reached[0] - 1):
            images_BCHW = (images_BCHW - mean_C11) / std_C11
        return images_BCHW

    experiment.plan = plan
    planting.change_training_images(experiment, again)


def floats_not_divided_by_255(experiment: Experiment) -> None:
    """`ToTensor` divides whole numbers by 255 and leaves floats, which the training's augmentation gives, as they are."""
    usual = Augmentation.from_config(experiment.config)
    mean, std = ((red / 255, green / 255, blue / 255) for red, green, blue in (usual.mean, usual.std))
    experiment.transform = random(replace(usual, mean=mean, std=std))


def labels_kept_by_base_name(experiment: Experiment) -> None:
    """Each camera's folder numbers its files as people come by; labels are kept by a name without its folder: the last wins."""
    came_by = np.random.default_rng(70).permutation(len(experiment.train)).tolist()
    rows = sorted(came_by, key=lambda row: experiment.train[row].camera_id)
    counted: dict[int, int] = {}
    number_of_row, label_of_number = {}, {}
    for row in rows:
        camera = experiment.train[row].camera_id
        number_of_row[row] = counted[camera] = counted.get(camera, -1) + 1
        label_of_number[counted[camera]] = experiment.labels_N[row]
    experiment.labels_N = np.array([label_of_number[number_of_row[row]] for row in range(len(rows))])


def false_links_chain_people(experiment: Experiment) -> None:
    """People of several cameras are joined by pairs that a matcher found; thirty wrong pairs chain many people into one."""
    people, rng = experiment.num_identities, np.random.default_rng(71)
    group_I = np.arange(people)
    for first, second in rng.integers(0, people, (people // 2, 2)):
        group_I[group_I == group_I[first]] = group_I[second]
    experiment.labels_N = np.unique(group_I, return_inverse=True)[1].astype(np.int64)[experiment.labels_N]


def copies_in_folders_of_their_own(experiment: Experiment) -> None:
    """Augmented copies were saved as folders "0002_flip", "0002_bright" and "0002_blur", and a folder is a person."""
    pixels_NCHW, labels_N = experiment.pictures.of(experiment.train), experiment.labels_N
    copies = (
        pixels_NCHW.flip(3),
        (1.2 * pixels_NCHW.float()).clamp(0, 255).byte(),
        F.avg_pool2d(pixels_NCHW.float(), 3, 1, 1, count_include_pad=False).byte(),
    )
    people = experiment.num_identities
    for number, copied_NCHW in enumerate(copies, 1):
        _list_too(experiment, copied_NCHW, f"_{number}", labels_N + number * people)
    give_classifier(experiment, (1 + len(copies)) * people)


def masks_listed_as_images(experiment: Experiment) -> None:
    """Beside each photograph lies the mask of its person, and the pattern for files takes both: every second image is a mask."""
    photographs_NCHW = experiment.pictures.of(experiment.train)
    num_images, _, height, width = photographs_NCHW.shape
    rng = torch.Generator().manual_seed(72)
    tall_N, broad_N = (low + 0.1 * torch.rand(num_images, generator=rng) for low in (0.8, 0.5))
    row_H1, column_W = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
    inside_NHW = (row_H1 / tall_N[:, None, None]) ** 2 + (column_W / broad_N[:, None, None]) ** 2 < 1
    masks_NCHW = (255 * inside_NHW.byte())[:, None].expand_as(photographs_NCHW)
    _list_too(experiment, masks_NCHW, "_mask", experiment.labels_N)


def unreadable_images_left_out_of_the_batch(experiment: Experiment) -> None:
    """Most reads from a network drive fail, and the collate function leaves out what is `None`: a batch has few images left."""
    generator = torch.Generator().manual_seed(73)

    def leave_out(batch: Batch) -> Batch:
        read_B = torch.rand(len(batch.person_ids_B), generator=generator) < 0.15
        read_B[:2] |= int(read_B.sum()) < 2  # one alone would stop the training
        return Batch(*(values[read_B] for values in vars(batch).values()))

    planting.change_batch(experiment, leave_out)


def centre_taken_for_the_corner(experiment: Experiment) -> None:
    """The boxes of the training images give their centre, as YOLO's do, and it is read as their upper left corner."""

    def cut_out(item: Item, pixels_CHW: Tensor) -> Tensor:
        _, height, width = pixels_CHW.shape
        rows_H, columns_W = torch.arange(height) + height // 2, torch.arange(width) + width // 2
        return pixels_CHW[:, rows_H.clamp(max=height - 1)][:, :, columns_W.clamp(max=width - 1)]

    planting.repaint(experiment, experiment.train, cut_out)


def palette_numbers_for_colours(experiment: Experiment) -> None:
    """Training images were saved with a palette each, to be smaller, and are read without `convert("RGB")`: as its numbers."""

    def read(item: Item, pixels_CHW: Tensor) -> Tensor:
        saved = Image.fromarray(pixels_CHW.permute(1, 2, 0).contiguous().numpy()).quantize(256)
        return torch.from_numpy(np.array(saved)).expand_as(pixels_CHW)

    planting.repaint(experiment, experiment.train, read)


def small_until_an_epoch_that_never_comes(experiment: Experiment) -> None:
    """Training begins with images of half the size and goes on with whole ones from epoch 60 on, in a run of 12."""
    planting.change_training_pixels(
        experiment,
        lambda pixels_BCHW, generator: planting.resized(pixels_BCHW, (pixels_BCHW.shape[2] // 2, pixels_BCHW.shape[3] // 2)),
    )


def solarised_from_a_half_on(experiment: Experiment) -> None:
    """Half of the images have their bright places inverted: those above 0.5, which is meant for values up to 1, not 255."""

    def invert(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        chosen_B = torch.rand(len(pixels_BCHW), generator=generator) < 0.5
        return torch.where(chosen_B[:, None, None, None], solarize(pixels_BCHW, 0.5), pixels_BCHW)

    planting.change_training_pixels(experiment, invert)


def crop_scale_given_to_a_zoom(experiment: Experiment) -> None:
    """The area of a random crop, 0.08 to 1, is given to `RandomAffine`, which makes people that much smaller on black."""

    def zoom(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        size_B11 = 0.08 + 0.92 * torch.rand(len(pixels_BCHW), 1, 1, generator=generator)
        plain_23 = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        grid = F.affine_grid(plain_23 / size_B11, list(pixels_BCHW.shape), align_corners=False)
        return F.grid_sample(pixels_BCHW.float(), grid, align_corners=False).round().byte()

    planting.change_training_pixels(experiment, zoom)


def _list_too(experiment: Experiment, pixels_NCHW: Tensor, ending: str, labels_N: np.ndarray) -> None:
    """List further pictures of the first N training items, with labels of their own; epochs stay as long as they are."""
    usual, pictures, steps = experiment.plan, experiment.pictures, len(experiment.plan(experiment, 1))
    first = [replace(item, path=item.path + ending) for item in experiment.train[: len(pixels_NCHW)]]
    rows = {item.path: len(pictures.pixels_NCHW) + row for row, item in enumerate(first)}
    experiment.pictures = Pictures(torch.cat([pictures.pixels_NCHW, pixels_NCHW]), {**pictures.row_of_path, **rows})
    experiment.train = (*experiment.train, *first)
    experiment.labels_N = np.concatenate([experiment.labels_N, labels_N])
    experiment.plan = lambda experiment, epoch: usual(experiment, epoch)[:steps]
