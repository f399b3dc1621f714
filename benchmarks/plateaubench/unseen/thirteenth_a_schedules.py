"""Faults of `thirteenth_a` in the schedule, by groups and at a resume."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from benchmarks.plateaubench.experiment import Experiment
from benchmarks.plateaubench.unseen.thirteenth_a_steps import own_group, rate_within_the_update
from unplateau.optim.schedules import Schedule

_WARM_UP = 20  # steps, as in the recipe


class FirstStep(Schedule):
    """A schedule whose step stays 0."""

    def rate_at(self, step: int) -> float:
        return super().rate_at(0)


def counter_never_counts(experiment: Experiment) -> None:
    """The rate decays with a global step that nothing increments.

    github.com/Hezi-Resheff/Oreilly-Learning-TensorFlow/issues/9
    """
    experiment.schedule = FirstStep(**vars(experiment.schedule))


def warm_up_of_biases_for_scales(experiment: Experiment) -> None:
    """The groups were reordered: scales begin at ten times the rate, in place of biases.

    github.com/ultralytics/yolov5/issues/8352
    """
    scales = [m.weight for m in experiment.model.modules() if isinstance(m, _BatchNorm)]
    peak = experiment.schedule.base_rate
    own_group(experiment, scales)
    rate_within_the_update(
        experiment,
        lambda group, step: peak * (10 - 9 * step / _WARM_UP) if "chosen" in group and step < _WARM_UP else group["lr"],
    )


def biases_fall_to_a_rate_of_zero(experiment: Experiment) -> None:
    """Biases begin at ten times the rate and have none from the end of warm-up on.

    github.com/MultimediaTechLab/YOLO/issues/122
    """
    biases = [p for name, p in experiment.model.named_parameters() if name.endswith("bias")]
    peak = experiment.schedule.base_rate
    own_group(experiment, biases)
    rate_within_the_update(
        experiment, lambda group, step: 10 * peak * max(0, 1 - step / _WARM_UP) if "chosen" in group else group["lr"]
    )


def end_rate_for_the_power(experiment: Experiment) -> None:
    """The power of the decay is its end rate, 1e-7.

    github.com/ThilinaRajapakse/simpletransformers/issues/997
    """
    experiment.schedule = replace(experiment.schedule, gamma=experiment.schedule.gamma**1e-7)


class OnceAnEpoch(Schedule):
    """A schedule of steps that is stepped once an epoch."""

    def rate_at(self, step: int) -> float:
        return super().rate_at(step // self.steps_per_epoch)


def steps_counted_at_epochs(experiment: Experiment) -> None:
    """A schedule made for steps is stepped at the end of epochs.

    github.com/ace-step/ACE-Step/pull/198
    """
    experiment.schedule = OnceAnEpoch(**vars(experiment.schedule))


class LateWarmUp(Schedule):
    """A schedule whose warm-up is set behind the first update."""

    def rate_at(self, step: int) -> float:
        return self.base_rate if step == 0 else super().rate_at(step)


def warm_up_behind_the_first_update(experiment: Experiment) -> None:
    """The warm-up sets its rate behind the update, not before.

    github.com/Lightning-AI/pytorch-lightning/issues/17972
    """
    experiment.schedule = LateWarmUp(**{**vars(experiment.schedule), "warmup_steps": _WARM_UP})


class HalfAsLong(Schedule):
    """A schedule of half the run; there is no rate behind its end."""

    def rate_at(self, step: int) -> float:
        return super().rate_at(2 * step) if 2 * step < self.total_steps else 0.0


def steps_counted_from_examples(experiment: Experiment) -> None:
    """Examples are cut into several; their number, not the loader's, ends the decay.

    github.com/huggingface/transformers/pull/604
    """
    experiment.schedule = HalfAsLong(**vars(experiment.schedule))


class EightTimesAsLong(Schedule):
    """A schedule made from the loader of all eight processes."""

    def rate_at(self, step: int) -> float:
        return super().rate_at(step // 8)


def schedule_of_all_processes(experiment: Experiment) -> None:
    """The schedule's length is that of the loader before it is dealt to 8 processes.

    github.com/huggingface/diffusers/pull/8312
    """
    experiment.schedule = EightTimesAsLong(**vars(experiment.schedule))


class FromAnew(Schedule):
    """A schedule that starts again after two thirds of the epochs."""

    def rate_at(self, step: int) -> float:
        again = self.max_epochs * 2 // 3 * self.steps_per_epoch
        return super().rate_at(step if step < again else step - again)


def epoch_not_in_the_checkpoint(experiment: Experiment) -> None:
    """Only weights are loaded at a resume: optimiser and schedule begin at 0.

    github.com/dusty-nv/jetson-inference/issues/881
    """
    experiment.schedule = FromAnew(**vars(experiment.schedule))
    updates, again = count(), experiment.schedule.max_epochs * 2 // 3 * experiment.schedule.steps_per_epoch

    def forget(optimizer: Optimizer, *_: object) -> None:
        if next(updates) == again:
            optimizer.state.clear()

    experiment.optimizers[0].register_step_pre_hook(forget)
