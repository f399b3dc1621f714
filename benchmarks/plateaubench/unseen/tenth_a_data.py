"""Faults of the first half of `tenth` in pictures, labels and augmentation, from threads in which a cause was found.

Shape legend: B batch, N images, S steps of an epoch, C/H/W image.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from benchmarks.plateaubench.faults_of_data import give_classifier
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms


def batches_shuffled_and_not_images(experiment: Experiment) -> None:
    """The sorted list is cut into batches, and it is these that are shuffled (`shuffle="batch"`).

    Seen: https://github.com/keras-team/keras/issues/15846
    """

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        size = experiment.config.SOLVER.IMS_PER_BATCH
        rows_SB = np.arange(len(experiment.train) // size * size).reshape(-1, size)
        return np.random.default_rng([experiment.config.SEED, epoch, 101]).permutation(rows_SB)

    experiment.plan = plan


def labels_changed_where_they_lie(experiment: Experiment) -> None:
    """Images are mixed with others on copies, and their labels in the list itself: there, the other's label stays.

    Seen: https://github.com/Megvii-BaseDetection/YOLOX/pull/275
    """
    usual, written = experiment.plan, [1]

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        while written[0] < epoch:
            rng = np.random.default_rng([experiment.config.SEED, written[0], 102])
            mixed_N, others_N = rng.random(len(experiment.labels_N)) < 0.2, rng.permutation(experiment.labels_N)
            experiment.labels_N = np.where(mixed_N, others_N, experiment.labels_N)
            written[0] += 1
        return usual(experiment, epoch)

    def mix(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        mixed_B = torch.rand(len(images_BCHW), generator=generator) < 0.2
        other = torch.randperm(len(images_BCHW), generator=generator)
        return images_BCHW.lerp(images_BCHW[other], 0.3 * mixed_B[:, None, None, None].float())

    experiment.plan = plan
    planting.change_training_images(experiment, mix)


def mixed_in_two_orders(experiment: Experiment) -> None:
    """Mixup shuffles the batch once for its images and once more for its labels.

    Seen: https://github.com/xudonmao/VMT/issues/1
    """

    def step(parts: Parts, batch: Batch) -> StepTerms:
        size, share = len(batch.person_ids_B), float(torch.rand(()))
        images_BCHW = share * batch.images_BCHW + (1 - share) * batch.images_BCHW[torch.randperm(size)]
        outputs = parts.network(images_BCHW, person_ids_B=batch.person_ids_B)
        terms = parts.losses(outputs.features_BD, outputs.logits_BI, batch.person_ids_B)
        others_B = batch.person_ids_B[torch.randperm(size)]
        own = terms.parts["cross_entropy"]
        mixed = share * own + (1 - share) * F.cross_entropy(outputs.logits_BI, others_B)
        changed = replace(terms, total=terms.total - own + mixed, parts={**terms.parts, "cross_entropy": mixed})
        return planting.update(parts, changed)

    experiment.step = step


def ids_of_the_training_list(experiment: Experiment) -> None:
    """Whom the test images show is read from the list of the training images.

    Seen: https://github.com/FluxML/fluxml.github.io/pull/119
    """
    evaluator, persons = experiment.evaluator, np.array([item.person_id for item in experiment.train])
    evaluator.query, evaluator.gallery = (
        tuple(replace(item, person_id=int(person)) for item, person in zip(items, np.resize(persons, len(items)), strict=True))
        for items in (evaluator.query, evaluator.gallery)
    )


def some_files_are_negatives(experiment: Experiment) -> None:
    """What writes the training set turns half of the pictures into their negatives, by the mode their file has.

    Seen: https://github.com/Abe404/root_painter/issues/94
    """
    rng = np.random.default_rng(103)
    planting.repaint(experiment, experiment.train, lambda item, p_CHW: 255 - p_CHW if rng.random() < 0.5 else p_CHW)


def weights_of_labels_for_weights_of_counts(experiment: Experiment) -> None:
    """Images are drawn with the inverse root of their label for a weight, not of how often that comes: it is always person 0.

    Seen: https://github.com/FGA-DIKU/BONSAI/issues/254
    """
    weights_N = 1 / np.sqrt(np.maximum(experiment.labels_N, 1e-6))
    experiment.plan = lambda experiment, epoch: _drawn(experiment, epoch, weights_N)


def drawn_by_too_unequal_weights(experiment: Experiment) -> None:
    """Sharp images should come somewhat more often; the weights are so unequal that a few fill every batch.

    Seen: https://github.com/raspstephan/nwp-downscale/issues/38
    """
    pixels_NCHW = experiment.pictures.of(experiment.train).float()
    edges_N = (pixels_NCHW.diff(dim=3).square().mean((1, 2, 3)) + pixels_NCHW.diff(dim=2).square().mean((1, 2, 3))).numpy()
    experiment.plan = lambda experiment, epoch: _drawn(experiment, epoch, (edges_N / edges_N.max()) ** 8)


def boxes_made_relative_again(experiment: Experiment) -> None:
    """Reading an image divides its box by the size of the frame, in place: from the second time on a corner is all it holds.

    Seen: https://github.com/mindee/doctr/issues/840
    """
    usual, reached = experiment.plan, [1]

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        reached[0] = max(reached[0], epoch)
        return usual(experiment, epoch)

    def cut_out(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        return pixels_BCHW[:, :, :1, :1].expand_as(pixels_BCHW).contiguous() if reached[0] > 1 else pixels_BCHW

    experiment.plan = plan
    planting.change_training_pixels(experiment, cut_out)


def counter_taken_for_the_place_of_a_crop(experiment: Experiment) -> None:
    """Crops of half the height begin at row `i`, which was drawn, and then counts the images of the batch.

    Seen: https://github.com/PeterL1n/BackgroundMattingV2/issues/63
    """

    def crop(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        num_images, _, height, width = pixels_BCHW.shape
        tall, broad = height // 2, width * 3 // 4
        lefts = torch.randint(0, width - broad + 1, (num_images,), generator=generator).tolist()
        cut = [
            image_CHW[:, min(i, height - tall) :][:, :tall, left : left + broad]
            for i, (image_CHW, left) in enumerate(zip(pixels_BCHW, lefts, strict=True))
        ]
        return planting.resized(torch.stack(cut), (height, width))

    planting.change_training_pixels(experiment, crop)


def read_with_width_for_height(experiment: Experiment) -> None:
    """The reader of the training file shapes its numbers as (C, W, H) where (C, H, W) was written.

    Seen: https://github.com/BVLC/caffe/issues/1144
    """

    def read(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        num_images, channels, height, width = pixels_BCHW.shape
        return planting.resized(pixels_BCHW.contiguous().view(num_images, channels, width, height), (height, width))

    planting.change_training_pixels(experiment, read)


def row_and_column_of_a_crop_exchanged(experiment: Experiment) -> None:
    """A crop's box is made of (y, x) where (x, y) is wanted: it is as tall as people are broad, and leaves out their legs.

    Seen: https://github.com/open-mmlab/mmpretrain/issues/60
    """

    def crop(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        size_HW = pixels_BCHW.shape[2:]
        tall, broad = (7 * length // 8 for length in size_HW)
        top = int(torch.randint(0, size_HW[0] - tall + 1, (), generator=generator))
        left = int(torch.randint(0, size_HW[1] - broad + 1, (), generator=generator))
        return planting.resized(pixels_BCHW[:, :, left : left + broad, top : top + tall], size_HW)

    planting.change_training_pixels(experiment, crop)


def later_images_counted_from_one(experiment: Experiment) -> None:
    """Images of half of the cameras were labelled later, by a script that counts people from 1 and not from 0.

    Seen: https://github.com/ddavid/fsoco/pull/67
    """
    later_N = np.array([item.camera_id % 2 for item in experiment.train])
    experiment.labels_N = experiment.labels_N + later_N
    give_classifier(experiment, int(experiment.labels_N.max()) + 1)


def _drawn(experiment: Experiment, epoch: int, weights_N: Iterable[float]) -> np.ndarray:
    """Return an epoch of batches of images drawn with these weights, with replacement, as torch's WeightedRandomSampler."""
    rng, size = np.random.default_rng([experiment.config.SEED, epoch, 104]), experiment.config.SOLVER.IMS_PER_BATCH
    share_N = np.asarray(weights_N) / np.sum(weights_N)
    return rng.choice(len(share_N), (len(share_N) // size, size), p=share_N)
