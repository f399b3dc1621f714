"""Faults of `fourteenth_a` in pictures, labels and samplers. Their addresses are those of the threads that report them.

Shape legend: B batch, N images, S steps of an epoch, I identities, C/H/W image.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment, random, sampler
from unplateau.data.color_jitter import JitterRange
from unplateau.data.transforms import Augmentation


def shares_cast_back_to_bytes(experiment: Experiment) -> None:
    """Intensities scaled to 0..1 by percentiles come out wrong for byte images: github.com/Project-MONAI/MONAI/issues/8108."""

    def scale(pixels_BCHW: Tensor) -> Tensor:
        values_BV = pixels_BCHW.float().flatten(1)
        low_B1, high_B1 = torch.quantile(values_BV, torch.tensor([0.01, 0.99]), dim=1, keepdim=True)
        shares_BV = (values_BV - low_B1) / (high_B1 - low_B1).clamp(min=1)
        return shares_BV.clamp(min=0).byte().view(pixels_BCHW.shape)

    planting.change_training_pixels(experiment, lambda pixels_BCHW, _: scale(pixels_BCHW))
    planting.change_evaluation_pixels(experiment, scale)


def shards_stay_with_their_worker(experiment: Experiment) -> None:
    """Batches come in clusters, each from a few shards of one worker: github.com/webdataset/webdataset/issues/71."""

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rng = np.random.default_rng((experiment.config.SEED, epoch))
        shards = np.array_split(np.arange(len(experiment.train)), 100)
        order_N = np.concatenate([rng.permutation(np.concatenate(shards[worker::16])) for worker in rng.permutation(16)])
        return _cut(order_N, experiment)

    experiment.plan = plan


def workers_draw_the_same(experiment: Experiment) -> None:
    """Every rank and worker draws the same samples of a shard: github.com/dreamzero0/dreamzero/issues/91."""
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rows_SB = usual(experiment, epoch)
        return np.tile(rows_SB[:, : rows_SB.shape[1] // 4], 4)

    experiment.plan = plan


def shards_dealt_by_each_node(experiment: Experiment) -> None:
    """Without a common seed some shards go to several nodes, others to none: github.com/huggingface/datasets/issues/5696."""
    of_a_node = sampler("NaiveIdentitySampler", num_images=experiment.config.SOLVER.IMS_PER_BATCH // 4)

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rng = np.random.default_rng((experiment.config.SEED, epoch))
        shards = np.array_split(np.arange(len(experiment.train)), 4)
        parts = []
        for node in range(4):
            rows = shards[rng.integers(4)]
            few = replace(experiment, labels_N=experiment.labels_N[rows], train=tuple(experiment.train[row] for row in rows))
            parts.append(rows[of_a_node(few, 10 * epoch + node)])
        steps = min(map(len, parts))
        return np.concatenate([rows_SB[:steps] for rows_SB in parts], 1)

    experiment.plan = plan


def jitter_of_the_larger_set(experiment: Experiment) -> None:
    """Colours are distorted with twice the strength that is meant for small images: github.com/Spijkervet/SimCLR/issues/16."""
    jitter = JitterRange(0.8, 0.8, 0.8, 0.8, 0.2)
    experiment.transform = random(replace(Augmentation.from_config(experiment.config), jitter=jitter))


def bands_masked_while_evaluating(experiment: Experiment) -> None:
    """SpecAugment is done in evaluation too: github.com/shuaijiang/Whisper-Finetune/pull/11."""

    def masked(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        for dim, most in ((2, 6), (3, 4)) * 2:
            size = images_BCHW.shape[dim]
            width_B1 = torch.randint(0, most + 1, (len(images_BCHW), 1), generator=generator)
            start_B1 = (torch.rand(len(images_BCHW), 1, generator=generator) * (size - width_B1)).long()
            place = torch.arange(size)
            inside = (place >= start_B1) & (place < start_B1 + width_B1)
            images_BCHW = images_BCHW.masked_fill(inside[:, None, :, None] if dim == 2 else inside[:, None, None], 0)
        return images_BCHW

    planting.change_training_images(experiment, masked)
    usual = experiment.evaluator.transform
    experiment.evaluator.transform = lambda pixels_BCHW, generator: masked(usual(pixels_BCHW, generator), generator)


def sparse_ids_as_classes(experiment: Experiment) -> None:
    """Category ids with gaps are used as classes: github.com/roboflow/rf-detr/pull/712."""
    planting.relabel_after_sampling(experiment, 1 + experiment.labels_N * 90 // 80)


def mirrored_along_the_channels(experiment: Experiment) -> None:
    """The random flip goes along the last axis, which is that of the colours: github.com/harvard-edge/cs249r_book/pull/1113."""
    experiment.transform = random(replace(Augmentation.from_config(experiment.config), flip_probability=0.0))

    def flip(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        chosen_B = torch.rand(len(pixels_BCHW), generator=generator) < 0.5
        return torch.where(chosen_B[:, None, None, None], pixels_BCHW.flip(1), pixels_BCHW)

    planting.change_training_pixels(experiment, flip)


def brightness_gives_0_to_255(experiment: Experiment) -> None:
    """Images of 0..1 leave the brightness shift as 0..255: github.com/keras-team/keras-preprocessing/issues/114."""
    mean_C, std_C = torch.tensor(experiment.config.MODEL.PIXEL_MEAN), torch.tensor(experiment.config.MODEL.PIXEL_STD)
    offset_C11 = (254 * mean_C / std_C)[:, None, None]

    def stretch(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        values_BCHW = pixels_BCHW.float()
        low, high = values_BCHW.amin((1, 2, 3), keepdim=True), values_BCHW.amax((1, 2, 3), keepdim=True)
        return (255 * (values_BCHW - low) / (high - low).clamp(min=1)).byte()

    planting.change_training_pixels(experiment, stretch)
    planting.change_training_images(experiment, lambda images_BCHW, _: 255 * images_BCHW + offset_C11)


def factor_taken_for_a_shift(experiment: Experiment) -> None:
    """Brightness "shifts" of -0.2 to 0.2 are factors, and training goes badly: github.com/keras-team/keras/issues/10366."""

    def darken(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        factor_B = 0.4 * torch.rand(len(pixels_BCHW), generator=generator) - 0.2
        return (pixels_BCHW * factor_B[:, None, None, None]).clamp(0, 255).byte()

    planting.change_training_pixels(experiment, darken)


def next_column_as_label(experiment: Experiment) -> None:
    """The second column is taken for the label, not the first: github.com/bsc-wdc/dislib/issues/22."""
    cameras_N = np.array([item.camera_id for item in experiment.train], dtype=np.int64)
    planting.relabel_after_sampling(experiment, cameras_N - cameras_N.min())


def clipped_at_mid_grey(experiment: Experiment) -> None:
    """Bright pixels of images that are pasted become mid-grey: github.com/python-pillow/Pillow/issues/5967."""
    planting.change_training_pixels(experiment, lambda pixels_BCHW, _: pixels_BCHW.clamp(max=127))


def _cut(order_N: np.ndarray, experiment: Experiment) -> np.ndarray:
    """Return an order of the training rows as batches (S, B); the rest that fills none is left out."""
    size = experiment.config.SOLVER.IMS_PER_BATCH
    return order_N[: len(order_N) // size * size].reshape(-1, size)
