"""Faults of `twelfth_a` in step, schedule, optimiser, several processes and resuming.

Each docstring says what was seen, and in which thread.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np
import torch
from torch import nn

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment, sampler
from benchmarks.plateaubench.planting import Inject
from unplateau.data.samplers import BatchShape
from unplateau.optim.schedules import Schedule

_RESTARTS = 3  # the shards are begun anew after every third of them
_RESUMED_AT = 6  # epochs
_STEPS_AT_ONCE = 4.0  # 10000 steps of warm-up were over after 2500


def rate_too_big_after_the_restore(experiment: Experiment) -> None:
    """After a restore the loss never came below what it had been: the rate was ten times what the run could bear.

    https://github.com/mozilla/DeepSpeech/issues/258
    """
    experiment.schedule = replace(experiment.schedule, base_rate=10 * experiment.schedule.base_rate)


def shards_begun_anew_at_each_restart(experiment: Experiment) -> None:
    """The loss was odd after restarts: the place in the data was not restored, so only the first shards were ever read.

    https://github.com/PrimeIntellect-ai/prime-diloco/issues/97
    """
    usual = experiment.plan
    people = BatchShape.from_config(experiment.config).num_identities
    begins = np.sort(np.unique(experiment.labels_N, return_index=True)[1])  # where each person's images do
    first = np.arange(max(len(experiment.train) // _RESTARTS, begins[people]))  # a batch can be made of it, in any set
    experiment.plan = lambda experiment, epoch: planting.draw_from(experiment, usual, first, epoch)


class BegunAnew(Schedule):
    """A schedule that stands at its beginning when the run is resumed."""

    def rate_at(self, step: int) -> float:
        return super().rate_at(step % (_RESUMED_AT * self.steps_per_epoch))


def schedule_starts_from_scratch_at_resume(experiment: Experiment) -> None:
    """After a resume the scheduler is made with its default of epoch -1: warm-up again, and the drop is never reached.

    https://github.com/victoresque/pytorch-template/issues/68
    """
    experiment.schedule = BegunAnew(**vars(experiment.schedule))


def epoch_not_told_to_the_sampler(experiment: Experiment) -> None:
    """Every epoch had the very same batches in the same order: the sampler was never told the epoch.

    https://github.com/pytorch/pytorch/issues/31771
    """
    usual = experiment.plan
    experiment.plan = lambda experiment, epoch: usual(experiment, 1)


def two_thousand_steps_of_warm_up(experiment: Experiment) -> None:
    """It hardly converged: the default warm-up of 2000 steps from 0 is longer than the whole run.

    https://github.com/Morizeyao/GPT2-Chinese/issues/60
    """
    experiment.schedule = replace(experiment.schedule, warmup_steps=2000, warmup_factor=0.0, warmup_method="linear")


class SteppedByEveryProcess(Schedule):
    """A schedule that each of several processes moves on."""

    def rate_at(self, step: int) -> float:
        return super().rate_at(int(_STEPS_AT_ONCE * step))


def schedule_stepped_by_every_process(experiment: Experiment) -> None:
    """The rate's peak came at step 2500 instead of 10000: every process moved the schedule on.

    https://github.com/huggingface/transformers/issues/18436
    """
    experiment.schedule = SteppedByEveryProcess(**vars(experiment.schedule))


def optimiser_made_before_the_layers(experiment: Experiment) -> None:
    """The same loss was printed for ever: the optimiser was made when the store of variables was still empty.

    https://github.com/LaurentMazare/ocaml-torch/issues/36
    """
    for group in experiment.optimizers[0].param_groups:
        group["params"] = []


def group_of_the_classifier_not_appended(experiment: Experiment) -> None:
    """The parameters of the last layers were gathered for a group that was never appended to the optimiser's list.

    https://github.com/zjunlp/HVPNeT/issues/5
    """
    assert experiment.model.head.classifier is not None
    own = {id(parameter) for parameter in experiment.model.head.classifier.parameters()}
    for group in experiment.optimizers[0].param_groups:
        group["params"] = [parameter for parameter in group["params"] if id(parameter) not in own]


def norms_exchanged_after_the_optimiser(experiment: Experiment) -> None:
    """Batch norms were exchanged for group norms after the optimiser was made, which does not know the new ones.

    https://github.com/meta-pytorch/opacus/issues/432
    """
    for module in list(experiment.model.backbone.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, nn.BatchNorm2d):
                setattr(module, name, nn.GroupNorm(min(32, layer.num_features), layer.num_features))


def gradients_of_the_own_process_only(processes: int) -> Inject:
    """Training was that of one device: after a move to the CPU and back gradients were no more averaged over processes.

    https://github.com/pytorch/pytorch/issues/104336
    """

    def inject(experiment: Experiment) -> None:
        experiment.plan = sampler(experiment.config.DATALOADER.SAMPLER_TRAIN, world_size=processes)

    return inject


def random_copy_behind_the_loaded_weights(experiment: Experiment) -> None:
    """Weights were loaded into the model and not into the optimiser's own copies; the first update put random ones back.

    https://github.com/EleutherAI/DeeperSpeed/pull/56
    """
    steps, when, kept = count(), 8 * experiment.schedule.steps_per_epoch, list[torch.Tensor]()

    def put_back(parameters: list[nn.Parameter]) -> None:
        step = next(steps)
        if step == 0:
            kept.extend(parameter.clone() for parameter in parameters)
        if step == when:
            torch._foreach_copy_([*parameters], kept)

    planting.before_update(experiment, put_back)
