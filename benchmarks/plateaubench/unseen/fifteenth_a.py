"""Faults to judge a diagnoser with, fifteenth file, first half: optimisation and data.

Taken from threads in which a root cause was found, in the order found, by an author who had seen neither rules nor older faults.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/fifteenth_a.py`.

Shape legend: B batch.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.plateaubench.experiment import Experiment
from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.planting import Inject
from benchmarks.plateaubench.unseen import fifteenth_a_data as data
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.optim.schedules import Schedule


def dampening_of_nine_tenths(experiment: Experiment) -> None:
    """Momentum dampens each gradient by default, so steps are ten times smaller.

    https://github.com/intel/analytics-zoo/issues/1038
    """
    before: list[Tensor] = []

    def remember(optimizer: Optimizer, *_: object) -> None:
        before[:] = [p.detach().clone() for group in optimizer.param_groups for p in group["params"]]

    @torch.no_grad()
    def shorten(optimizer: Optimizer, *_: object) -> None:
        after = [p for group in optimizer.param_groups for p in group["params"]]
        for old, new in zip(before, after, strict=True):
            new.copy_(old.lerp(new, 0.1))

    experiment.optimizers[0].register_step_pre_hook(remember)
    experiment.optimizers[0].register_step_post_hook(shorten)


def rate_times(factor: float) -> Inject:
    """Plant a rate that is so many times the one meant, from the first step to the last."""

    def inject(experiment: Experiment) -> None:
        experiment.schedule = replace(experiment.schedule, base_rate=factor * experiment.schedule.base_rate)

    return inject


class StepsOfFourProcesses(Schedule):
    """A schedule that each of four processes steps."""

    def rate_at(self, step: int) -> float:
        return super().rate_at(4 * step)


class NoamWithoutWarmUp(Schedule):
    """A rate that falls with the root of the step from the first step on, and would have met the peak at the end of warm-up."""

    def rate_at(self, step: int) -> float:
        return self.base_rate * (20 / (step + 1)) ** 0.5


class AllMilestonesCounted(Schedule):
    """A schedule that counts every milestone as passed, given the epoch by hand."""

    def rate_at(self, step: int) -> float:
        return super().rate_at(step + self.total_steps) * self._warmup(step)


class DecayedEachStep(Schedule):
    """A rate that decays by 4 % a step, where that was meant for an epoch."""

    def rate_at(self, step: int) -> float:
        return self.base_rate * 0.96**step * self._warmup(step)


def scheduled_by(kind: type[Schedule]) -> Inject:
    """Plant another kind of schedule with the same settings."""

    def inject(experiment: Experiment) -> None:
        experiment.schedule = kind(**vars(experiment.schedule))

    return inject


def drop_at(epoch: float) -> Inject:
    """Plant another epoch for the drop."""

    def inject(experiment: Experiment) -> None:
        schedule = experiment.schedule
        experiment.schedule = replace(schedule, milestone_steps=(round(epoch * schedule.steps_per_epoch),))

    return inject


def group_setting(name: str, value: object) -> Inject:
    """Plant a setting of the optimiser."""

    def inject(experiment: Experiment) -> None:
        for group in experiment.optimizers[0].param_groups:
            group[name] = value

    return inject


def compute_weights_not_refreshed(experiment: Experiment) -> None:
    """Main weights are updated, those of the forward pass stay as they were. https://github.com/NVIDIA/Megatron-LM/pull/6336"""
    computing: list[nn.Parameter] = []
    for group in experiment.optimizers[0].param_groups:
        computing += group["params"]
        group["params"] = [nn.Parameter(p.detach().clone()) for p in group["params"]]

    def hand_over(optimizer: Optimizer, *_: object) -> None:
        mains = [p for group in optimizer.param_groups for p in group["params"]]
        for main, used in zip(mains, computing, strict=True):
            main.grad, used.grad = used.grad, None

    experiment.optimizers[0].register_step_pre_hook(hand_over)


def in_eval_after_validating_amid_an_epoch(experiment: Experiment) -> None:
    """Four validations an epoch leave the model in eval mode. https://github.com/webis-de/small-text/issues/40"""
    usual, steps, length = experiment.step, count(), experiment.schedule.steps_per_epoch

    def step(parts: Parts, batch: Batch) -> StepTerms:
        is_before_it = next(steps) % length < length // 4
        for module in parts.model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.train(is_before_it)
        return usual(parts, batch)

    experiment.step = step


def reset_at_each_epoch(experiment: Experiment) -> None:
    """Each epoch runs the reset of problem and optimiser. https://github.com/google-deepmind/learning-to-learn/issues/18"""
    usual, steps, length = experiment.step, count(), experiment.schedule.steps_per_epoch
    first = {name: value.clone() for name, value in experiment.model.state_dict().items()}

    def step(parts: Parts, batch: Batch) -> StepTerms:
        if next(steps) % length == 0:
            parts.model.load_state_dict(first)
            parts.optimizers[0].state.clear()
        return usual(parts, batch)

    experiment.step = step


FAULTS: tuple[Fault, ...] = (
    fault("dampening_of_nine_tenths", "wrong-update learning-rate-too-low", dampening_of_nine_tenths),
    fault("crops_of_eight_percent", "augmentation-too-strong", data.crops_of_eight_percent),
    # Four processes, and the rate drops four times too early: https://github.com/huggingface/accelerate/issues/2926
    fault("schedule_stepped_by_four_processes", "wrong-schedule learning-rate-too-low", scheduled_by(StepsOfFourProcesses)),
    fault("noise_as_loud_as_the_signal", "augmentation-too-strong", data.noise_as_loud_as_the_signal),
    # Training does not work well with this default: https://github.com/mlpnlp/mlpnlp-nmt/pull/4
    fault("epsilon_of_a_tenth", "epsilon-too-large", group_setting("eps", 0.1)),
    fault("scored_in_bgr_and_cropped_once_more", "evaluation-preprocessing", data.scored_in_bgr_and_cropped_once_more),
    # The number of steps of the warm-up is far too small: https://github.com/whr94621/NJUNMT-pytorch/issues/27
    fault("noam_with_hardly_a_warm_up", "no-warm-up learning-rate-too-high", scheduled_by(NoamWithoutWarmUp)),
    # Several points of accuracy below a start at ten times that: https://github.com/kmkolasinski/deep-learning-notes/issues/3
    fault("started_at_a_tenth_of_the_rate", "learning-rate-too-low", rate_times(0.1)),
    fault("cropped_to_zeros", "blank-images", data.cropped_to_zeros),
    fault("bytes_of_doubles_taken_for_pixels", "images-corrupted", data.bytes_of_doubles_taken_for_pixels),
    fault("filter_counts_from_zero_in_each_batch", "too-few-identities duplicates", data.filter_counts_from_zero_in_each_batch),
    fault("coarse_labels", "identities-merged", data.coarse_labels),
    fault("compute_weights_not_refreshed", "stale-optimizer", compute_weights_not_refreshed),
    fault("in_eval_after_validating_amid_an_epoch", "batch-norm-in-eval", in_eval_after_validating_amid_an_epoch),
    # Changed milestones are ignored, the first ones stay: https://github.com/the-database/traiNNer-redux/issues/325
    fault("milestones_of_the_first_attempt", "wrong-schedule learning-rate-too-low", drop_at(3)),
    # The rate is at its last from the first epoch on: https://github.com/pytorch/pytorch/issues/31828
    fault("all_milestones_counted_from_the_start", "wrong-schedule learning-rate-too-low", scheduled_by(AllMilestonesCounted)),
    fault("whole_numbers_after_standardising", "images-corrupted", data.whole_numbers_after_standardising),
    # The rate is scaled by workers, the batch is not: https://github.com/mala-project/mala/issues/422
    fault("rate_scaled_by_eight_workers", "learning-rate-too-high", rate_times(8)),
    fault("reset_at_each_epoch", "wrong-start wrong-step", reset_at_each_epoch),
    fault("both_sets_numbered_from_zero", "identities-merged", data.both_sets_numbered_from_zero),
    fault("second_video_overwrites_the_first", "too-few-identities", data.second_video_overwrites_the_first),
    # Small batches decay the rate further: https://github.com/ludwig-ai/ludwig/issues/1044
    fault("decayed_each_step", "schedule-too-fast learning-rate-too-low", scheduled_by(DecayedEachStep)),
    fault("rotated_by_twice_the_angle", "augmentation-too-strong", data.rotated_by_twice_the_angle),
    fault("rotated_by_any_number_of_intervals", "augmentation-too-strong", data.rotated_by_any_number_of_intervals),
)
