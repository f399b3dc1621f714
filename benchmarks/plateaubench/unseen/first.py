"""Faults to judge a diagnoser with, first half: written by somebody who had not read it, from bugs that people write.

Use: `measure.py --faults-from benchmarks/plateaubench/unseen/first.py`. Once rules were changed after their results, they no
longer measure anything. A cause is accepted when its published meaning is true of the run and its cure is where the bug is.

Shape legend: B batch, D embedding dim, I identities, C/H/W image.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.faults_of_data import give_classifier
from benchmarks.plateaubench.planting import Inject
from unplateau.config.delta import with_values
from unplateau.data.items import Item
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.evaluation.embedded import Embedded
from unplateau.losses.build import build_losses
from unplateau.optim.build import build_optimizers

LOSS_SCALE = 65536.0  # where torch's gradient scaler begins


def sgd_at_adams_rate(experiment: Experiment) -> None:
    """The optimiser is plain SGD, at the rate that was found for Adam."""
    groups = experiment.optimizers[0].param_groups
    experiment.optimizers = (torch.optim.SGD([{**group} for group in groups], lr=experiment.config.SOLVER.BASE_LR),)


def unscaled_twice(experiment: Experiment) -> None:
    """Gradients are divided by the loss scale twice, though the loss was multiplied by it once."""

    def divide(parameters: list[nn.Parameter]) -> None:
        torch._foreach_div_([parameter.grad for parameter in parameters if parameter.grad is not None], LOSS_SCALE)

    planting.before_update(experiment, divide)


def drop_multiplies(experiment: Experiment) -> None:
    """The factor of the drop is 10 where 0.1 is meant, and the drop comes when half of the run is done."""
    half = experiment.schedule.total_steps // 2
    experiment.schedule = replace(experiment.schedule, gamma=10.0, milestone_steps=(half, half + half // 2))


def plateau_in_wrong_mode(experiment: Experiment) -> None:
    """The scheduler waits for the score to fall (mode "min"), so every epoch that improves it is a plateau and a drop."""
    every = range(experiment.schedule.steps_per_epoch, experiment.schedule.total_steps, experiment.schedule.steps_per_epoch)
    experiment.schedule = replace(experiment.schedule, gamma=0.2, milestone_steps=tuple(every))


def frozen_after_the_first_epoch(experiment: Experiment) -> None:
    """The comparison is the wrong way round: the backbone is frozen after the first epoch instead of until then."""
    usual, steps, first = experiment.step, count(), experiment.schedule.steps_per_epoch

    def step(parts: Parts, batch: Batch) -> StepTerms:
        if next(steps) == first:
            parts.model.backbone.requires_grad_(False)
        return usual(parts, batch)

    experiment.step = step


def classifier_at_rate_zero(experiment: Experiment) -> None:
    """The group of the classifier has a rate of 0."""
    assert experiment.model.head.classifier is not None
    planting.regroup(experiment, experiment.model.head.classifier, factor=0.0, lr=0.0)


def images_one_batch_late(experiment: Experiment) -> None:
    """A prefetcher hands out the labels of this batch with the images of the one before."""
    held: list[Tensor] = []

    def late(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        held.append(images_BCHW)
        before = held.pop(0) if len(held) > 1 else images_BCHW
        return before if before.shape == images_BCHW.shape else images_BCHW

    planting.change_training_images(experiment, late)


def labels_numbered_in_the_batch(experiment: Experiment) -> None:
    """Labels are numbered anew in every batch, 0..P-1, by a collate function that relabels."""

    def renumber(batch: Batch) -> Batch:
        return replace(batch, person_ids_B=batch.person_ids_B.unique(return_inverse=True)[1])

    planting.change_batch(experiment, renumber)


def split_by_camera(experiment: Experiment) -> None:
    """Tracks are numbered for each camera apart, and the track number is taken for the person."""
    cameras_N = np.array([item.camera_id for item in experiment.train])
    tracks = experiment.labels_N = np.unique(100 * experiment.labels_N + cameras_N, return_inverse=True)[1].astype(np.int64)
    give_classifier(experiment, int(tracks.max()) + 1)


def mixed_without_labels(share: float) -> Inject:
    """Mixup of the images; the labels stay those of one of the two."""

    def mix(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        other = torch.randperm(len(images_BCHW), generator=generator)
        return (1 - share) * images_BCHW + share * images_BCHW[other]

    return lambda experiment: planting.change_training_images(experiment, mix)


def trained_upside_down(experiment: Experiment) -> None:
    """The training's decoder reads images from the bottom row up."""
    planting.change_training_pixels(experiment, lambda pixels_BCHW, generator: pixels_BCHW.flip(2))


def truncated_files(experiment: Experiment) -> None:
    """Most files broke off in a copy: below the first rows everything is grey, in training and evaluation alike."""
    rng = np.random.default_rng(experiment.config.SEED + 31)

    def cut(item: Item, pixels_CHW: Tensor) -> Tensor:
        if rng.random() < 0.9:
            pixels_CHW[:, int(rng.integers(1, 9)) :] = 128
        return pixels_CHW

    planting.repaint(experiment, (*experiment.train, *experiment.evaluator.query, *experiment.evaluator.gallery), cut)


def number_drawn_into_the_image(experiment: Experiment) -> None:
    """A viewer's frame, coloured by the person's number, was saved with the training images."""
    people = sorted({item.person_id for item in experiment.train})
    colours = np.random.default_rng(31).integers(0, 256, (len(people), 3, 1, 1))

    def frame(item: Item, pixels_CHW: Tensor) -> Tensor:
        framed_CHW = torch.from_numpy(colours[people.index(item.person_id)]).byte().expand_as(pixels_CHW).clone()
        framed_CHW[:, 6:-6, 6:-6] = pixels_CHW[:, 6:-6, 6:-6]
        return framed_CHW

    planting.repaint(experiment, experiment.train, frame)


def same_image_k_times(experiment: Experiment) -> None:
    """The K images of a person are one image, drawn once and repeated."""
    usual, instances = experiment.plan, experiment.config.DATALOADER.NUM_INSTANCE

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rows_SB = usual(experiment, epoch)
        return np.ascontiguousarray(rows_SB[:, ::instances].repeat(instances, axis=1))

    experiment.plan = plan


def one_camera_after_the_other(experiment: Experiment) -> None:
    """Images are shuffled inside each camera only: an epoch goes from camera to camera."""
    cameras_N = np.array([item.camera_id for item in experiment.train])

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        order_N = np.lexsort((np.random.default_rng([experiment.config.SEED, epoch]).random(len(cameras_N)), cameras_N))
        size = experiment.config.SOLVER.IMS_PER_BATCH
        return order_N[: len(order_N) // size * size].reshape(-1, size)

    experiment.plan = plan


def sigmoid_before_loss(experiment: Experiment) -> None:
    """The head is one for several labels and ends in a sigmoid; the loss is the softmax cross-entropy."""
    planting.change_logits(experiment, torch.sigmoid)


def centre_loss_at_full_weight(experiment: Experiment) -> None:
    """A centre loss with a weight of 1 where 0.0005 is usual."""
    names = (*experiment.config.MODEL.LOSSES.NAME, "CenterLoss")
    config = with_values(experiment.config, {"MODEL.LOSSES.NAME": names, "MODEL.LOSSES.CENTER.SCALE": 1.0})
    experiment.losses = build_losses(config, num_identities=experiment.num_identities, feature_dim=experiment.model.feature_dim)
    experiment.optimizers = build_optimizers(config, experiment.model, experiment.losses)


def dropout_in_every_layer(share: float) -> Inject:
    """Dropout in each layer of the backbone, not before the classifier alone."""

    def inject(experiment: Experiment) -> None:
        for norm in planting.norms(experiment):
            norm.register_forward_hook(lambda module, inputs, output: F.dropout2d(output, share, module.training))

    return inject


def pooled_over_channels(experiment: Experiment) -> None:
    """The mean goes over the channels instead of the places, and is tiled to the width that the head expects."""

    def pool(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        means_BP = inputs[0].mean(1).flatten(1)
        return means_BP.repeat(1, -(-output.shape[1] // means_BP.shape[1]))[:, : output.shape[1]]

    experiment.model.head.pooling.register_forward_hook(pool)


def pruned(share: float) -> Inject:
    """Structured pruning to the share that should have been removed: masks hold most channels at zero."""

    def mask(output_BCHW: Tensor) -> Tensor:
        channels = output_BCHW.shape[1]
        return output_BCHW * (torch.arange(channels) < round((1 - share) * channels))[:, None, None]

    def inject(experiment: Experiment) -> None:
        for norm in planting.norms(experiment)[2:-1]:
            planting.change_output(norm, mask)

    return inject


def normalised_in_pieces(size: int) -> Inject:
    """The batch goes through the network in pieces, so that batch normalisation sees a few images at a time."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        pieces = zip(batch.images_BCHW.split(size), batch.person_ids_B.split(size), strict=True)
        outputs = [parts.network(images_BCHW, person_ids_B=persons_B) for images_BCHW, persons_B in pieces]
        features_BD, _, logits_BI = (torch.cat(values) for values in zip(*outputs, strict=True))
        return planting.update(parts, parts.losses(features_BD, logits_BI, batch.person_ids_B))

    def inject(experiment: Experiment) -> None:
        experiment.step = step

    return inject


def dropout_while_scored(experiment: Experiment) -> None:
    """`F.dropout` without `training=`: it is active in evaluation too."""
    planting.change_output(experiment.model.head.pooling, lambda output_BD: F.dropout(output_BD, 0.5))


def gallery_embedded_once(experiment: Experiment) -> None:
    """Features of the gallery are cached at the first evaluation and used ever after."""
    cached: list[Embedded] = []

    def once(experiment: Experiment) -> Embedded:
        if not cached:
            cached.append(experiment.evaluator.embed(experiment, experiment.evaluator.gallery))
        return cached[0]

    planting.score_with(experiment, once)


def evaluated_on_the_centre(experiment: Experiment) -> None:
    """Evaluation cuts out the centre and enlarges it, as is usual for ImageNet."""
    planting.change_evaluation_pixels(
        experiment, lambda pixels_BCHW: planting.resized(pixels_BCHW[:, :, 16:48, 8:24], pixels_BCHW.shape[2:])
    )


def nearest_last(experiment: Experiment) -> None:
    """Similarities are sorted as if they were distances: the least alike come first."""

    def turned(experiment: Experiment) -> Embedded:
        gallery = experiment.evaluator.embed(experiment, experiment.evaluator.gallery)
        return replace(gallery, features_ND=-gallery.features_ND)

    planting.score_with(experiment, turned)


# A measurement that is wrong has one cure in the vocabulary, whatever word of it is said.
_EVALUATION = "evaluation-preprocessing evaluated-in-train-mode stale-weights-evaluated same-camera-not-filtered"

FAULTS: tuple[Fault, ...] = (
    fault("sgd_at_adams_rate", "learning-rate-too-low epsilon-too-large", sgd_at_adams_rate),
    fault("images_one_batch_late", "labels-off-by-one labels-shuffled labels-noisy", images_one_batch_late),
    fault("same_image_k_times", "no-positives no-pk-sampling duplicates", same_image_k_times),
    fault("dropout_in_every_layer/0.7", "dropout-too-strong", dropout_in_every_layer(0.7)),
    fault("dropout_in_every_layer/0.15", "dropout-too-strong", dropout_in_every_layer(0.15), severity="mild"),
    fault("gallery_embedded_once", "stale-weights-evaluated", gallery_embedded_once),
    fault("unscaled_twice", "scaler-always-skips epsilon-too-large learning-rate-too-low", unscaled_twice),
    fault("labels_numbered_in_the_batch", "labels-shuffled labels-noisy identities-merged", labels_numbered_in_the_batch),
    fault("one_camera_after_the_other", "not-shuffled no-pk-sampling no-positives", one_camera_after_the_other),
    fault("pooled_over_channels", "embedding-too-small", pooled_over_channels),
    fault("evaluated_on_the_centre", "evaluation-preprocessing", evaluated_on_the_centre),
    fault("drop_multiplies", "schedule-never-steps schedule-too-fast learning-rate-too-high", drop_multiplies),
    fault("split_by_camera", "identities-split", split_by_camera),
    fault("pruned/0.95", "dead-units", pruned(0.95)),
    fault("nearest_last", _EVALUATION, nearest_last),
    fault("plateau_in_wrong_mode", "schedule-too-fast learning-rate-too-low", plateau_in_wrong_mode),
    fault("mixed_without_labels/0.5", "augmentation-too-strong labels-noisy labels-shuffled", mixed_without_labels(0.5)),
    fault("sigmoid_before_loss", "softmax-before-ce wrong-head", sigmoid_before_loss),
    fault("normalised_in_pieces/2", "batch-too-small batch-norm-in-eval", normalised_in_pieces(2)),
    fault("normalised_in_pieces/8", "batch-too-small batch-norm-in-eval", normalised_in_pieces(8), severity="mild"),
    fault("dropout_while_scored", "evaluated-in-train-mode dropout-too-strong", dropout_while_scored),
    fault("trained_upside_down", "evaluation-preprocessing augmentation-too-strong", trained_upside_down),
    fault("centre_loss_at_full_weight", "loss-weights-unbalanced", centre_loss_at_full_weight),
    fault("truncated_files", "blank-images duplicates", truncated_files),
    fault("frozen_after_the_first_epoch", "backbone-frozen layers-frozen", frozen_after_the_first_epoch),
    fault("number_drawn_into_the_image", "evaluation-preprocessing overfitting", number_drawn_into_the_image),
    fault("classifier_at_rate_zero", "layers-frozen learning-rate-zero", classifier_at_rate_zero),
)
