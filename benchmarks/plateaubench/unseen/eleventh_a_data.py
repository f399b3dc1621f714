"""Faults of the first half of `eleventh` in what arrives (by workers and processes), labels and augmentation, from threads.

Shape legend: B batch, N images, S steps of an epoch, C/H/W image.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.items import Item

_RANKS = 4  # processes of a distributed training
_WORKERS = 4  # of a loader


def workers_draw_the_same_batches(experiment: Experiment) -> None:
    """Each worker draws its batches with numpy from the seed it inherited: all draw the same, and the same in every epoch.

    Seen: https://github.com/Lightning-AI/pytorch-lightning/issues/3348
    """
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rows_SB = usual(experiment, 1)
        return np.repeat(rows_SB, _WORKERS, axis=0)[: len(rows_SB)]

    experiment.plan = plan


def ranks_see_the_same_images(experiment: Experiment) -> None:
    """Every process is given the same seed and draws the same images: a batch over all of them is one part of it, four times.

    Seen: https://github.com/RogerQi/human-policy/issues/3
    """
    usual = experiment.plan
    experiment.plan = lambda experiment, epoch: np.tile(_of_a_rank(usual(experiment, epoch)), _RANKS)


def gradients_of_one_rank(experiment: Experiment) -> None:
    """The model is taken out of its distributed wrapper: gradients are not exchanged, the first process trains on its part alone.

    Seen: https://github.com/kohya-ss/sd-scripts/issues/924
    """
    usual = experiment.plan
    experiment.plan = lambda experiment, epoch: _of_a_rank(usual(experiment, epoch))


def _of_a_rank(rows_SB: np.ndarray) -> np.ndarray:
    """Return the part of each batch that the first process sees."""
    return rows_SB[:, : rows_SB.shape[1] // _RANKS]


def people_numbered_by_each_listing(experiment: Experiment) -> None:
    """People are numbered in the order the folder is listed, which is not sorted: queries and gallery number them differently.

    Seen: https://github.com/uzh-rpg/rpg_event_representation_learning/issues/2
    """
    gallery = experiment.evaluator.gallery
    persons = sorted({item.person_id for item in gallery})
    listed = np.random.default_rng(111).permutation(persons).tolist()
    number = dict(zip(persons, listed, strict=True))
    experiment.evaluator.gallery = tuple(replace(item, person_id=number[item.person_id]) for item in gallery)


def numbers_of_the_larger_set(experiment: Experiment) -> None:
    """The set is a part of a larger one, and its labels are still the numbers people have there.

    Seen: https://github.com/activeloopai/deeplake/issues/1699
    """
    experiment.labels_N = np.array([item.person_id for item in experiment.train], dtype=np.int64)


def reversed_once_more_for_the_estimator(experiment: Experiment) -> None:
    """Images to be found are RGB already and are turned round once more, as if OpenCV had read them.

    Seen: https://github.com/pixelite1201/CameraHMR/issues/24
    """
    planting.change_evaluation_pixels(experiment, lambda pixels_BCHW: pixels_BCHW.flip(1))


def shuffled_list_thrown_away(experiment: Experiment) -> None:
    """The function that shuffles changes a list of its own: batches are cut from the list as it lies on the disk.

    Seen: https://github.com/SystemsGenetics/gene-oracle/issues/10
    """

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        size = experiment.config.SOLVER.IMS_PER_BATCH
        return np.arange(len(experiment.train) // size * size).reshape(-1, size)

    experiment.plan = plan


def first_half_of_a_sorted_list(experiment: Experiment) -> None:
    """Half of the images is kept apart, and the list is not shuffled before it is cut: the people of its end are never seen.

    Seen: https://github.com/khanrc/pt.darts/issues/24
    """
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        return planting.draw_from(experiment, usual, np.arange(len(experiment.train) // 2), epoch)

    experiment.plan = plan


def shuffled_images_beside_the_list(experiment: Experiment) -> None:
    """Test images come shuffled, and are compared with the people of the list, which is not.

    Seen: https://github.com/udacity/nd320-c1-emr-data-starter/issues/4
    """
    rng, evaluator = np.random.default_rng(112), experiment.evaluator
    evaluator.query, evaluator.gallery = (_shuffled(items, rng) for items in (evaluator.query, evaluator.gallery))


def _shuffled(items: tuple[Item, ...], rng: np.random.Generator) -> tuple[Item, ...]:
    order = rng.permutation(len(items)).tolist()
    return tuple(replace(item, path=items[row].path) for item, row in zip(items, order, strict=True))


def mixed_without_their_labels(experiment: Experiment) -> None:
    """Mixup mixes the images and leaves the labels as they were; the larger share is an image's own.

    Seen: https://github.com/timeseriesAI/tsai/issues/791
    """

    def mix(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        size = len(images_BCHW)
        shares_B = torch.from_numpy(np.random.default_rng(_seed(generator)).beta(0.4, 0.4, size)).float()
        shares_B = torch.maximum(shares_B, 1 - shares_B)[:, None, None, None]
        return images_BCHW[torch.randperm(size, generator=generator)].lerp(images_BCHW, shares_B)

    planting.change_training_images(experiment, mix)


def _seed(generator: torch.Generator) -> int:
    return int(torch.randint(0, 2**31, (), generator=generator))


def columns_in_another_order_in_some_files(experiment: Experiment) -> None:
    """Each camera has a file of labels; in a third of them one person's column stands elsewhere, and all between are shifted.

    Seen: https://github.com/cugbrs/MLRSNet/issues/4
    """
    labels_N, last = experiment.labels_N, int(experiment.labels_N.max())
    early, late = last // 6, last - last // 6
    moved_N = np.where((labels_N > early) & (labels_N <= late), labels_N - 1, np.where(labels_N == early, late, labels_N))
    other_N = np.array([item.camera_id % 3 == 0 for item in experiment.train])
    experiment.labels_N = np.where(other_N, moved_N, labels_N)
