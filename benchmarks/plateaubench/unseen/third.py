"""Faults to judge a diagnoser with, third file: its author had read neither rules nor probes nor what any run was found to be.

Written from bugs that people report; each kind differs in mechanism from the standard list, `first` and `second`.
What did not lower the score, or has no published cause that is true of it, was left out before anything was diagnosed.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/third.py`.

Shape legend: B batch, D embedding dim, I identities, C/H/W image.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import count

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.backbones import convolutions_and_norms
from benchmarks.plateaubench.experiment import Experiment
from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.planting import Inject
from benchmarks.plateaubench.unseen import third_data as data
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.models.reid import ReidModel
from unplateau.optim.build import build_optimizers
from unplateau.optim.schedules import Schedule


def cleared_before_the_update(experiment: Experiment) -> None:
    """The order is backward, zero_grad, step: every update is done with gradients of zero."""
    planting.before_update(experiment, lambda ps: torch._foreach_zero_([p.grad for p in ps if p.grad is not None]))


def in_pieces(pieces: int, *, dealt: bool) -> Inject:
    """Gradients are accumulated over pieces of a batch, each with losses of its own.

    Cut, a piece is the K images of one person. Dealt out one by one, as a distributed sampler does, it has one image of each.
    """

    def step(parts: Parts, batch: Batch) -> StepTerms:
        size = len(batch.person_ids_B) // pieces
        rows = [slice(n, None, pieces) if dealt else slice(n * size, (n + 1) * size) for n in range(pieces)]
        found = [planting.losses_of(parts, Batch(*(values[r] for values in vars(batch).values()))) for r in rows]
        means = {name: torch.stack([terms.parts[name] for terms in found]).mean() for name in found[0].parts}
        total = torch.stack([terms.total for terms in found]).mean()
        return planting.update(parts, replace(found[0], total=total, parts=means))

    def inject(experiment: Experiment) -> None:
        experiment.step = step

    return inject


def parameters_replaced_midway(experiment: Experiment) -> None:
    """After two epochs weights are loaded by making the parameters anew; the optimiser goes on with the old ones."""
    usual, steps, when = experiment.step, count(), 2 * experiment.schedule.steps_per_epoch

    def step(parts: Parts, batch: Batch) -> StepTerms:
        if next(steps) == when:
            for module in parts.model.modules():
                for name, old in list(module.named_parameters(recurse=False)):
                    setattr(module, name, nn.Parameter(old.detach().clone(), requires_grad=old.requires_grad))
        return usual(parts, batch)

    experiment.step = step


def warm_up_counted_in_epochs(experiment: Experiment) -> None:
    """The length of a constant warm-up is taken for epochs: it does not end."""
    schedule = experiment.schedule
    steps = 20 * schedule.steps_per_epoch
    experiment.schedule = replace(schedule, warmup_steps=steps, warmup_method="constant", warmup_factor=0.01)


def warm_up_downwards(experiment: Experiment) -> None:
    """The warm-up's factor is given the other way round: the rate comes down to its peak from a hundred times that."""
    experiment.schedule = replace(experiment.schedule, warmup_steps=20, warmup_factor=100.0)


class MadeAnewEachEpoch(Schedule):
    """A schedule that never comes further than an epoch."""

    def rate_at(self, step: int) -> float:
        return super().rate_at(step % self.steps_per_epoch)


def schedule_made_anew_each_epoch(experiment: Experiment) -> None:
    """Optimiser and schedule are built inside the loop over epochs."""
    experiment.schedule = MadeAnewEachEpoch(**vars(experiment.schedule))
    steps, length = count(), experiment.schedule.steps_per_epoch

    def forget(optimizer: torch.optim.Optimizer, *_: object) -> None:
        if next(steps) % length == 0:
            optimizer.state.clear()

    experiment.optimizers[0].register_step_pre_hook(forget)


def head_times_100(experiment: Experiment) -> None:
    """The head's rate is a hundred times the backbone's."""
    planting.regroup(experiment, experiment.model.head, factor=100.0)


def decay_not_times_rate(decay: float) -> Inject:
    """A hand-written decoupled decay forgets to multiply by the rate."""
    return lambda experiment: planting.after_update(experiment, lambda ps: torch._foreach_mul_([*ps], 1 - decay))


def unfrozen_layer_by_layer(experiment: Experiment) -> None:
    """Layers are unfrozen from the top, one each four epochs: the run ends before most had their turn."""
    usual, steps, every = experiment.step, count(), 4 * experiment.schedule.steps_per_epoch

    def step(parts: Parts, batch: Batch) -> StepTerms:
        free = 2 * (next(steps) // every)
        for number, layer in enumerate(reversed(convolutions_and_norms(parts.model.backbone))):
            layer.requires_grad_(number < free)
        return usual(parts, batch)

    experiment.step = step


def average_not_swapped_back(experiment: Experiment) -> None:
    """Averaged weights are put into the model for evaluation, and the training's own are not put back."""
    average = _average(experiment, 1e-3, buffers=True)

    def swap(experiment: Experiment) -> ReidModel:
        experiment.model.load_state_dict(average.state_dict())
        return experiment.model

    experiment.evaluator.model_of = swap


def average_without_buffers(experiment: Experiment) -> None:
    """The moving average that is scored follows the parameters and not the running statistics."""
    average = _average(experiment, 0.1, buffers=False)
    experiment.evaluator.model_of = lambda experiment: average


def likelihood_of_logits(experiment: Experiment) -> None:
    """`F.nll_loss` is given logits where it expects logarithms of probabilities."""
    term = experiment.losses.terms["cross_entropy"]
    term.register_forward_hook(lambda module, inputs, term: replace(term, value=F.nll_loss(*inputs[1:])))


def gathered_without_gradient(experiment: Experiment) -> None:
    """The metric loss sees features gathered over all ranks, and gathering has no gradient."""
    term = experiment.losses.terms["triplet"]
    term.register_forward_pre_hook(lambda module, inputs: (inputs[0].detach(), *inputs[1:]))


def last_scale_begins_at_zero(experiment: Experiment) -> None:
    """The last scale begins at 0, as is usual in residual blocks; this network has nothing to add it to."""
    nn.init.zeros_(planting.norms(experiment)[-1].weight)


def reduced_to_four_for_the_index(experiment: Experiment) -> None:
    """Embeddings are reduced to 4 dimensions before they are ranked."""
    width = experiment.model.embedding_dim
    basis_D4 = torch.linalg.qr(torch.randn(width, 4, generator=torch.Generator().manual_seed(38)))[0]
    experiment.model.head.neck.register_forward_hook(
        lambda module, inputs, output_BD: output_BD if module.training else output_BD @ basis_D4 @ basis_D4.T
    )


def camera_loss_times_ten(experiment: Experiment) -> None:
    """A loss that tells cameras apart, meant as a little help, has a weight of 10."""
    experiment.model.add_module("cameras", nn.Linear(experiment.model.feature_dim, 6))
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)

    def step(parts: Parts, batch: Batch) -> StepTerms:
        outputs = parts.network(batch.images_BCHW, person_ids_B=batch.person_ids_B)
        terms = parts.losses(outputs.features_BD, outputs.logits_BI, batch.person_ids_B)
        cameras = F.cross_entropy(parts.model.get_submodule("cameras")(outputs.features_BD), batch.camera_ids_B)
        return planting.update(parts, replace(terms, total=terms.total + 10 * cameras))

    experiment.step = step


def batch_norm_stays_in_eval(experiment: Experiment) -> None:
    """After the first validation nothing puts batch normalisation back into training mode."""
    forwards, first = count(), experiment.schedule.steps_per_epoch

    def stay(model: nn.Module, inputs: object) -> None:
        if model.training and next(forwards) >= first:
            for module in model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    experiment.model.register_forward_pre_hook(stay)


def noise_run_through_before_scoring(experiment: Experiment) -> None:
    """Before each evaluation operations are counted on random images, in training mode."""

    @torch.no_grad()
    def evaluate(model: nn.Module) -> None:
        model.train()
        for _ in range(20):
            model(torch.randn(8, 3, *experiment.config.INPUT.SIZE_TEST))
        model.eval()

    experiment.evaluator.set_mode = evaluate


def queries_in_grey(experiment: Experiment) -> None:
    """Queries come from a tool that saves grey images."""
    shares_C11 = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    planting.repaint(experiment, experiment.evaluator.query, lambda item, p_CHW: (p_CHW * shares_C11).sum(0).byte())


def scored_at_half_size(experiment: Experiment) -> None:
    """Evaluation images are half as large as those of training."""
    planting.change_evaluation_pixels(experiment, lambda pixels_BCHW: planting.resized(pixels_BCHW, (32, 16)))


def _average(experiment: Experiment, share: float, *, buffers: bool) -> ReidModel:
    """Return a copy of the model that goes a share of the way to it after every update."""
    average, model = copy.deepcopy(experiment.model), experiment.model

    @torch.no_grad()
    def follow(*_: object) -> None:
        for old, new in zip(average.parameters(), model.parameters(), strict=True):
            old.lerp_(new, share)
        for kept, seen in zip(average.buffers(), model.buffers(), strict=True):
            kept.copy_(seen if buffers else kept)

    experiment.optimizers[0].register_step_post_hook(follow)
    return average


_LABELS = "labels-shuffled labels-noisy labels-off-by-one"

FAULTS: tuple[Fault, ...] = (
    fault("cleared_before_the_update", "no-gradient", cleared_before_the_update),
    fault("padded_by_thirty", "augmentation-too-strong", data.padded_by_thirty),
    fault("average_without_buffers", "stale-weights-evaluated", average_without_buffers),
    fault("accumulated_person_by_person", "batch-too-small", in_pieces(8, dealt=False)),
    fault("listings_sorted_differently", _LABELS, data.listings_sorted_differently),
    fault("likelihood_of_logits", "wrong-head", likelihood_of_logits),
    fault("warm_up_counted_in_epochs", "learning-rate-too-low", warm_up_counted_in_epochs),
    fault("some_files_in_bgr", "channels-swapped", data.some_files_in_bgr),
    fault("queries_in_grey", "evaluation-preprocessing", queries_in_grey),
    fault("parameters_replaced_midway", "stale-optimizer", parameters_replaced_midway),
    fault("two_people_a_batch", "batch-too-small", data.two_people_a_batch),
    fault("camera_loss_times_ten", "loss-weights-unbalanced", camera_loss_times_ten),
    fault("head_times_100", "learning-rate-too-high", head_times_100),
    fault("pseudo_labels_of_colours", f"{_LABELS} identities-merged identities-split", data.pseudo_labels_of_colours),
    fault("noise_run_through_before_scoring", "evaluated-in-train-mode", noise_run_through_before_scoring, severity="mild"),
    fault("unfrozen_layer_by_layer", "layers-frozen backbone-frozen", unfrozen_layer_by_layer),
    fault("last_scale_begins_at_zero", "dead-units", last_scale_begins_at_zero),
    fault("decay_not_times_rate/0.05", "weight-decay-too-strong", decay_not_times_rate(0.05)),
    fault("buffer_never_filled", "blank-images", data.buffer_never_filled),
    fault("gathered_without_gradient", "detached-branch no-gradient", gathered_without_gradient, severity="mild"),
    fault("dealt_over_ranks", "no-positives no-pk-sampling batch-too-small", in_pieces(4, dealt=True), severity="mild"),
    fault("hue_all_round", "augmentation-too-strong", data.hue_all_round),
    fault("scored_at_half_size", "evaluation-preprocessing", scored_at_half_size),
    fault("schedule_made_anew_each_epoch", "schedule-never-steps", schedule_made_anew_each_epoch, severity="mild"),
    fault("rare_people_in_one_class", "identities-merged", data.rare_people_in_one_class),
    fault("reduced_to_four_for_the_index", "embedding-too-small", reduced_to_four_for_the_index),
    fault("warm_up_downwards", "learning-rate-too-high no-warm-up", warm_up_downwards),
    fault("each_image_standardised", "evaluation-preprocessing inputs-not-normalised", data.each_image_standardised),
    fault("batch_norm_stays_in_eval", "batch-norm-in-eval", batch_norm_stays_in_eval),
    fault("average_not_swapped_back", "stale-weights-evaluated", average_not_swapped_back),
    fault("people_renumbered_each_epoch", _LABELS, data.people_renumbered_each_epoch),
)
