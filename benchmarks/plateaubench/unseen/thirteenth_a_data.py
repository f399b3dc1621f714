"""Faults of `thirteenth_a` in labels and samplers.

Shape legend: B batch, S steps of an epoch, D feature dim, I identities.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from unplateau.base.randomness import stream_seed
from unplateau.data.loader import Batch


def buffer_of_a_fiftieth(experiment: Experiment) -> None:
    """The shuffle buffer holds 2 % of what is read in its order.

    github.com/IBM/graph2tac/pull/95
    """
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rng = np.random.default_rng(stream_seed(experiment.config.SEED, "sampler", epoch))
        order_N = np.argsort(experiment.labels_N, kind="stable")
        size = max(2, len(order_N) // 50)
        buffer, read = order_N[:size].copy(), []
        for row in order_N[size:]:
            slot = rng.integers(size)
            read.append(buffer[slot])
            buffer[slot] = row
        return np.resize(np.array([*read, *rng.permutation(buffer)]), usual(experiment, epoch).shape)

    experiment.plan = plan


def zipped_after_two_shuffles(experiment: Experiment) -> None:
    """Images and labels come from one shuffled source, which each reads for itself.

    github.com/tensorflow/tensorflow/issues/41334
    """
    generator = torch.Generator().manual_seed(41334)

    def change(batch: Batch) -> Batch:
        order_B = torch.randperm(len(batch.person_ids_B), generator=generator)
        return replace(batch, person_ids_B=batch.person_ids_B[order_B])

    planting.change_batch(experiment, change)


def labels_in_the_order_of_the_disk(experiment: Experiment) -> None:
    """Labels are listed as folders are walked, images in sorted order.

    github.com/keras-team/keras/issues/14416
    """
    experiment.labels_N = np.random.default_rng(14416).permutation(experiment.labels_N)


def background_in_front_of_the_labels(experiment: Experiment) -> None:
    """Labels begin at 1, behind a background: the last has no place in the one-hot code.

    github.com/tensorflow/models/pull/1247
    """

    def value(features_BD: Tensor, logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
        last = logits_BI.shape[1] - 1
        loss_B = F.cross_entropy(logits_BI, (person_ids_B + 1).clamp(max=last), label_smoothing=0.1, reduction="none")
        return (loss_B * (person_ids_B < last)).mean()

    planting.change_loss(experiment, "cross_entropy", value)


def labels_cut_by_the_number_of_the_batch(experiment: Experiment) -> None:
    """Pseudo labels are those from number step x batch on, images are shuffled.

    github.com/sarsbug/SMP/issues/1
    """
    steps, length, labels_N = count(), experiment.schedule.steps_per_epoch, experiment.labels_N

    def change(batch: Batch) -> Batch:
        size = len(batch.person_ids_B)
        rows_B = (next(steps) % length * size + np.arange(size)) % len(labels_N)
        return replace(batch, person_ids_B=torch.from_numpy(labels_N[rows_B]))

    planting.change_batch(experiment, change)


def read_in_the_order_of_keys(experiment: Experiment) -> None:
    """Keys begin with the class, and the data base is read in their order.

    github.com/NVIDIA/DIGITS/issues/1109
    """
    usual = experiment.plan
    experiment.plan = lambda experiment, epoch: np.resize(
        np.argsort(experiment.labels_N, kind="stable"), usual(experiment, epoch).shape
    )


def drawn_again_while_others_wait(experiment: Experiment) -> None:
    """The reader draws with replacement: a third of the images is not in an epoch.

    github.com/NVIDIA/DALI/issues/1116
    """
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rng = np.random.default_rng(stream_seed(experiment.config.SEED, "sampler", epoch))
        rows_SB = usual(experiment, epoch)
        rows_of = [np.flatnonzero(experiment.labels_N == label) for label in range(experiment.labels_N.max() + 1)]
        return np.vectorize(lambda row: rng.choice(rows_of[experiment.labels_N[row]]))(rows_SB).astype(np.int64)

    experiment.plan = plan


def numbered_anew_at_a_resume(experiment: Experiment) -> None:
    """Numbers of classes come from a set, so that they are others after a resume, at two thirds of the epochs.

    github.com/RomRoc/objdet_fizyr_colab/pull/5
    """
    steps, schedule = count(), experiment.schedule
    again = schedule.max_epochs * 2 // 3 * schedule.steps_per_epoch
    number_I = torch.randperm(experiment.num_identities, generator=torch.Generator().manual_seed(5))

    def change(batch: Batch) -> Batch:
        return replace(batch, person_ids_B=number_I[batch.person_ids_B]) if next(steps) >= again else batch

    planting.change_batch(experiment, change)


def one_weight_a_class_in_the_sampler(experiment: Experiment) -> None:
    """A sampler that wants a weight of each image has one of each class: only as many images are ever drawn.

    github.com/deep-voice/soundbay/pull/49
    """
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rng = np.random.default_rng(stream_seed(experiment.config.SEED, "sampler", epoch))
        return rng.integers(experiment.num_identities, size=usual(experiment, epoch).shape)

    experiment.plan = plan
