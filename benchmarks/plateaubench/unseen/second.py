"""Faults to judge a diagnoser with, second half: as `first`, dealt from the same list.

Use: `measure.py --faults-from benchmarks/plateaubench/unseen/second.py`. Look at it last: rules are not to be changed for it.

Shape legend: B batch, D embedding dim, I identities, C/H/W image.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import count

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.planting import Inject
from unplateau.data.items import Item
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.models.classifiers import build_classifier
from unplateau.models.reid import ReidModel
from unplateau.optim.build import build_optimizers


def lookahead_slow(share: float) -> Inject:
    """Lookahead goes a tiny share of the way every five steps and starts again from there."""

    def inject(experiment: Experiment) -> None:
        steps, slow = count(1), [p.detach().clone() for group in experiment.optimizers[0].param_groups for p in group["params"]]

        def return_to_slow(parameters: list[nn.Parameter]) -> None:
            if next(steps) % 5:
                return
            for parameter, anchor in zip(parameters, slow, strict=True):
                parameter.copy_(anchor.lerp_(parameter, share))

        planting.after_update(experiment, return_to_slow)

    return inject


def backbone_at_a_thousandth(experiment: Experiment) -> None:
    """A backbone without pretrained weights gets the small rate that is right for fine-tuning."""
    planting.regroup(experiment, experiment.model.backbone, factor=1e-3)


def rate_finder_left_on(experiment: Experiment) -> None:
    """The sweep that looks for a rate goes on in training: from 1e-6 to 1 in each epoch."""
    steps, length = count(), experiment.schedule.steps_per_epoch

    def sweep(optimizer: torch.optim.Optimizer, *_: object) -> None:
        rate = 10 ** (-6 + 6 * (next(steps) % length) / max(1, length - 1))
        for group in optimizer.param_groups:
            group["lr"] = rate

    experiment.optimizers[0].register_step_pre_hook(sweep)


def cosine_over_two_epochs(experiment: Experiment) -> None:
    """The cosine's length is counted in another unit: it is at its end after two epochs."""
    experiment.schedule = replace(experiment.schedule, kind="CosineAnnealingLR", max_epochs=2)


def zero_grad_of_the_head_only(experiment: Experiment) -> None:
    """The loop clears the gradients of `model.head`; those of the backbone add up."""
    clear = experiment.model.head.zero_grad
    experiment.optimizers[0].zero_grad = lambda set_to_none=True: clear()  # type: ignore[method-assign]


def only_vectors_held(experiment: Experiment) -> None:
    """Parameters are sorted into those with and without weight decay, and only the latter reach the optimiser."""
    for group in experiment.optimizers[0].param_groups:
        group["params"] = [parameter for parameter in group["params"] if parameter.ndim == 1]


def one_update_an_epoch(experiment: Experiment) -> None:
    """The counter of an accumulation never divides: the update is done once an epoch, with the last batch's gradient."""
    steps, length = count(1), experiment.schedule.steps_per_epoch
    optimizer, usual = experiment.optimizers[0], experiment.optimizers[0].step
    optimizer.step = lambda closure=None: usual() if next(steps) % length == 0 else None  # type: ignore[method-assign]


def half_of_the_buffer_is_old(experiment: Experiment) -> None:
    """A buffer is handed out before it is filled: half of its images are of the batch before."""
    held: list[Tensor] = []

    def refill(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        before = held.pop() if held else images_BCHW
        held.append(images_BCHW)
        half = len(images_BCHW) // 2
        return torch.cat([before[:half], images_BCHW[half:]]) if before.shape == images_BCHW.shape else images_BCHW

    planting.change_training_images(experiment, refill)


def cameras_for_labels(experiment: Experiment) -> None:
    """The wrong field of the file name is read: labels are cameras."""
    cameras_N = np.array([item.camera_id for item in experiment.train], dtype=np.int64)
    planting.relabel_after_sampling(experiment, cameras_N)


def tracker_switches(experiment: Experiment) -> None:
    """A tracker exchanged people two by two in half of their images."""
    rng = np.random.default_rng(experiment.config.SEED + 32)
    partner_N = np.minimum(experiment.labels_N ^ 1, experiment.labels_N.max())
    switched_N = rng.random(len(partner_N)) < 0.5
    experiment.labels_N = np.where(switched_N, partner_N, experiment.labels_N)


def raw_ids_for_labels(experiment: Experiment) -> None:
    """Labels are the numbers of the file names, which are not 0..I-1."""
    planting.relabel_after_sampling(experiment, np.array([item.person_id for item in experiment.train], dtype=np.int64))


def small_crops(height: int, width: int) -> Inject:
    """Random crops with the area that is usual for ImageNet, enlarged to the full size."""

    def crop(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        room = (pixels_BCHW.shape[2] - height + 1, pixels_BCHW.shape[3] - width + 1)
        tops, lefts = (torch.randint(0, most, (len(pixels_BCHW),), generator=generator).tolist() for most in room)
        places = zip(pixels_BCHW, tops, lefts, strict=True)
        crops_BCHW = torch.stack([image[:, top : top + height, left : left + width] for image, top, left in places])
        return planting.resized(crops_BCHW, pixels_BCHW.shape[2:])

    return lambda experiment: planting.change_training_pixels(experiment, crop)


def brightness_wraps(experiment: Experiment) -> None:
    """Brightness is multiplied in eight bits, and what is brighter than 255 begins again at 0."""

    def brighten(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        return pixels_BCHW * torch.randint(2, 6, (len(pixels_BCHW), 1, 1, 1), generator=generator, dtype=torch.uint8)

    planting.change_training_pixels(experiment, brighten)


def cache_collides(experiment: Experiment) -> None:
    """The key of the image cache has too few values: many files give the picture of another."""
    first = np.random.default_rng(32).permutation(len(experiment.train))[:48]
    rows = {
        item.path: experiment.pictures.row_of_path[experiment.train[first[i % 48]].path]
        for i, item in enumerate(experiment.train)
    }
    experiment.pictures = replace(experiment.pictures, row_of_path={**experiment.pictures.row_of_path, **rows})


def window_of_people(experiment: Experiment) -> None:
    """The sampler walks through the people: each epoch shows ten, then come others."""
    usual, people = experiment.plan, int(experiment.labels_N.max()) + 1

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        start = min(5 * (epoch - 1), people - 10)
        rows = np.flatnonzero((experiment.labels_N >= start) & (experiment.labels_N < start + 10))
        return planting.draw_from(experiment, usual, rows, epoch)

    experiment.plan = plan


def the_same_batches(experiment: Experiment) -> None:
    """The loader's iterator is made anew after two batches: nothing else is ever seen."""
    usual = experiment.plan
    experiment.plan = lambda experiment, epoch: usual(experiment, 1)[np.arange(len(usual(experiment, 1))) % 2]


def softmax_over_the_batch(experiment: Experiment) -> None:
    """The softmax of the head goes over dimension 0."""
    planting.change_logits(experiment, lambda logits_BI: logits_BI.softmax(0))


def cross_entropy_rewrapped(experiment: Experiment) -> None:
    """`torch.tensor(loss)`: the number of the cross-entropy is added, its graph is not."""
    term = experiment.losses.terms["cross_entropy"]
    term.register_forward_hook(lambda module, inputs, term: replace(term, value=term.value.detach()))


def norm_penalty_summed(experiment: Experiment) -> None:
    """A penalty on the length of the features is a sum where a mean of small weight was meant."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        outputs = parts.network(batch.images_BCHW, person_ids_B=batch.person_ids_B)
        terms = parts.losses(outputs.features_BD, outputs.logits_BI, batch.person_ids_B)
        return planting.update(parts, replace(terms, total=terms.total + outputs.features_BD.square().sum()))

    experiment.step = step


def dropout_on_pixels(experiment: Experiment) -> None:
    """The dropout rate of the head is given to a dropout on the input."""

    def drop(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        return images_BCHW * (torch.rand(images_BCHW.shape, generator=generator) < 0.05) / 0.05

    planting.change_training_images(experiment, drop)


def classifier_made_later(experiment: Experiment) -> None:
    """The classifier is replaced after the optimiser was built."""
    head = experiment.model.head
    head.classifier = build_classifier("Linear", head.embedding_dim, experiment.num_identities, scale=1.0, margin=0.0)


def margin_in_degrees(experiment: Experiment) -> None:
    """ArcFace with its margin given in degrees, where radians are read."""
    head = experiment.model.head
    head.classifier = build_classifier("ArcSoftmax", head.embedding_dim, experiment.num_identities, scale=64.0, margin=28.6)
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def average_too_slow(experiment: Experiment) -> None:
    """A moving average of the weights is scored that has hardly left the first weights."""
    average = copy.deepcopy(experiment.model)

    def follow(optimizer: torch.optim.Optimizer, *_: object) -> None:
        with torch.no_grad():
            for old, new in zip(average.parameters(), experiment.model.parameters(), strict=True):
                old.lerp_(new, 1e-4)
            for old, new in zip(average.buffers(), experiment.model.buffers(), strict=True):
                old.copy_(new)

    experiment.optimizers[0].register_step_post_hook(follow)
    experiment.evaluator.model_of = lambda experiment: average


def scored_without_late_layers(experiment: Experiment) -> None:
    """The model that is scored takes the trained weights with `strict=False`, and half of the names do not fit."""
    scored = copy.deepcopy(experiment.model)

    def load(experiment: Experiment) -> ReidModel:
        trained = experiment.model.state_dict()
        of_backbone = [name for name in trained if name.startswith("backbone.")]
        late = set(of_backbone[len(of_backbone) // 2 :])
        scored.load_state_dict({name: value for name, value in trained.items() if name not in late}, strict=False)
        return scored

    experiment.evaluator.model_of = load


def reshaped_not_turned(experiment: Experiment) -> None:
    """Evaluation reshapes (H, W, C) to (C, H, W) where it should permute."""
    planting.change_evaluation_pixels(experiment, lambda pixels_BCHW: pixels_BCHW.permute(0, 2, 3, 1).reshape(pixels_BCHW.shape))


def statistics_reset_before_scoring(experiment: Experiment) -> None:
    """Running statistics are reset where the model is put into evaluation mode."""

    def evaluate(model: nn.Module) -> None:
        for module in model.eval().modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.reset_running_stats()

    experiment.evaluator.set_mode = evaluate


def gallery_with_margins(experiment: Experiment) -> None:
    """The gallery's detector leaves room around a person: its images are half as large, with a black margin."""

    def narrow(item: Item, pixels_CHW: Tensor) -> Tensor:
        return F.pad(planting.resized(pixels_CHW[None], (32, 16))[0], (8, 8, 16, 16))

    planting.repaint(experiment, experiment.evaluator.gallery, narrow)


FAULTS: tuple[Fault, ...] = (
    fault("lookahead_slow/0.01", "learning-rate-too-low epsilon-too-large", lookahead_slow(0.01)),
    fault("lookahead_slow/0.1", "learning-rate-too-low epsilon-too-large", lookahead_slow(0.1), severity="mild"),
    fault("half_of_the_buffer_is_old", "labels-off-by-one labels-shuffled labels-noisy", half_of_the_buffer_is_old),
    fault("window_of_people", "not-shuffled too-few-identities", window_of_people),
    fault("dropout_on_pixels", "dropout-too-strong augmentation-too-strong evaluation-preprocessing", dropout_on_pixels),
    fault("average_too_slow", "stale-weights-evaluated", average_too_slow),
    fault("backbone_at_a_thousandth", "learning-rate-too-low backbone-frozen layers-frozen", backbone_at_a_thousandth),
    fault("cameras_for_labels", "labels-shuffled labels-noisy identities-merged", cameras_for_labels),
    fault("softmax_over_the_batch", "softmax-before-ce wrong-head", softmax_over_the_batch),
    fault("classifier_made_later", "stale-optimizer layers-frozen", classifier_made_later),
    fault("reshaped_not_turned", "evaluation-preprocessing", reshaped_not_turned),
    fault("rate_finder_left_on", "learning-rate-too-high schedule-too-fast no-warm-up", rate_finder_left_on),
    fault("tracker_switches", "labels-noisy labels-shuffled identities-merged", tracker_switches),
    fault("the_same_batches", "too-few-identities overfitting not-shuffled", the_same_batches),
    fault("margin_in_degrees", "margin-wrong wrong-head", margin_in_degrees),
    fault("statistics_reset_before_scoring", "batch-norm-in-eval evaluation-preprocessing", statistics_reset_before_scoring),
    fault("cosine_over_two_epochs", "schedule-too-fast learning-rate-too-low", cosine_over_two_epochs),
    fault("small_crops/20x10", "augmentation-too-strong evaluation-preprocessing", small_crops(20, 10)),
    fault("cross_entropy_rewrapped", "detached-branch no-gradient cross-entropy-missing", cross_entropy_rewrapped),
    fault("scored_without_late_layers", "stale-weights-evaluated pretrained-not-loaded", scored_without_late_layers),
    fault("zero_grad_of_the_head_only", "gradients-accumulate", zero_grad_of_the_head_only),
    fault("brightness_wraps", "augmentation-too-strong evaluation-preprocessing", brightness_wraps),
    fault("norm_penalty_summed", "loss-weights-unbalanced", norm_penalty_summed),
    fault("only_vectors_held", "stale-optimizer layers-frozen backbone-frozen", only_vectors_held),
    fault("gallery_with_margins", "evaluation-preprocessing", gallery_with_margins),
    fault("one_update_an_epoch", "no-gradient scaler-always-skips learning-rate-too-low", one_update_an_epoch),
    fault("cache_collides", "duplicates labels-shuffled labels-noisy", cache_collides),
    fault("raw_ids_for_labels", "labels-out-of-range labels-off-by-one", raw_ids_for_labels),
)
