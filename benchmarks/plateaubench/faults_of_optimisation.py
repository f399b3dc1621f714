"""Faults of optimiser, schedule and step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from benchmarks.plateaubench.backbones import convolutions_and_norms
from benchmarks.plateaubench.experiment import Experiment
from benchmarks.plateaubench.fault import Fault, fault
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.testing.faults import optimizer_of_copies, stale_optimizer

Inject = Callable[[Experiment], None]


def rate_times(factor: float) -> Inject:
    """The base rate is off by a factor: a typo, or the unit of another trainer."""

    def inject(experiment: Experiment) -> None:
        experiment.schedule = replace(experiment.schedule, base_rate=factor * experiment.schedule.base_rate)

    return inject


def drops_counted_in_steps(experiment: Experiment) -> None:
    """The scheduler is stepped once a batch: its milestones come in the first epochs."""
    schedule = experiment.schedule
    milestones = tuple(milestone // schedule.steps_per_epoch for milestone in schedule.milestone_steps)
    experiment.schedule = replace(schedule, milestone_steps=milestones, warmup_steps=0)


def decay_every_step(experiment: Experiment) -> None:
    """An exponential decay meant for epochs is applied in every batch: gone after two of them."""
    schedule = experiment.schedule
    every = tuple(range(6, schedule.total_steps, 6))
    experiment.schedule = replace(schedule, milestone_steps=every, gamma=0.5, warmup_steps=0)


def drops_never_come(experiment: Experiment) -> None:
    experiment.schedule = replace(experiment.schedule, milestone_steps=())


def no_warm_up_and_rate_times(factor: float) -> Inject:
    """Warm-up is skipped at a rate that needs one."""

    def inject(experiment: Experiment) -> None:
        schedule = experiment.schedule
        experiment.schedule = replace(schedule, base_rate=factor * schedule.base_rate, warmup_steps=0)

    return inject


def flat_buffers(experiment: Experiment) -> None:
    """fast-reid 1.3 on torch 2: the optimiser's flat buffers never see a gradient."""
    experiment.optimizers = stale_optimizer(experiment.parts()).optimizers


def copies(experiment: Experiment) -> None:
    """The optimiser was built before the model was replaced by a copy of itself."""
    experiment.optimizers = optimizer_of_copies(experiment.parts()).optimizers


def backbone_not_held(experiment: Experiment) -> None:
    """The optimiser holds a copy of the backbone: it was replaced after the optimiser was built."""
    own = {id(parameter) for parameter in experiment.model.backbone.parameters()}
    for group in _groups(experiment):
        group["params"] = [nn.Parameter(p.detach().clone()) if id(p) in own else p for p in group["params"]]


def freeze(*, share: float = 1.0) -> Inject:
    """Gradients of the backbone, or of its first layers, are switched off."""

    def inject(experiment: Experiment) -> None:
        layers = convolutions_and_norms(experiment.model.backbone)
        for layer in layers[: round(share * len(layers))]:
            layer.requires_grad_(False)

    return inject


def gradients_add_up(experiment: Experiment) -> None:
    """`zero_grad` is missing."""
    for optimizer in experiment.optimizers:
        optimizer.zero_grad = lambda set_to_none=True: None  # type: ignore[method-assign]


def weight_decay(value: float) -> Inject:
    def inject(experiment: Experiment) -> None:
        for group in _groups(experiment):
            group["weight_decay"] = value

    return inject


def clipped_to(norm: float) -> Inject:
    """Gradients are clipped to a tiny norm just before the update."""

    def inject(experiment: Experiment) -> None:
        def clip(optimizer: Optimizer, *_: object) -> None:
            held = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            nn.utils.clip_grad_norm_(held, norm)

        experiment.optimizers[0].register_step_pre_hook(clip)

    return inject


def epsilon(value: float) -> Inject:
    """Adam's epsilon is larger than the gradients."""

    def inject(experiment: Experiment) -> None:
        for group in _groups(experiment):
            group["eps"] = value

    return inject


def batch_of_few(experiment: Experiment) -> None:
    """The loader gives four images a step, two each of two people."""
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        rows_SPK = usual(experiment, epoch).reshape(-1, 8, 4)
        return np.ascontiguousarray(rows_SPK[:, :2, :2].reshape(len(rows_SPK), 4))

    experiment.plan = plan


def in_order(experiment: Experiment) -> None:
    """Nothing is shuffled: an epoch goes through the data set as it lies there."""

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        size = experiment.config.SOLVER.IMS_PER_BATCH
        steps = len(experiment.train) // size
        return np.arange(steps * size).reshape(steps, size)

    experiment.plan = plan


def optimizer_never_steps(experiment: Experiment) -> None:
    """A condition around `optimizer.step()` is never true, as with a scaler that finds an infinity in every step."""
    for optimizer in experiment.optimizers:
        optimizer.step = lambda closure=None: None  # type: ignore[method-assign,assignment]


def result_thrown_away(experiment: Experiment) -> None:
    """The loss is computed under `no_grad` by mistake, and the optimiser steps on nothing."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        with torch.no_grad():
            outputs = parts.network(batch.images_BCHW, person_ids_B=batch.person_ids_B)
            terms = parts.losses(outputs.features_BD, outputs.logits_BI, batch.person_ids_B)
        for optimizer in parts.optimizers:
            optimizer.step()
        return StepTerms(terms.total, terms.parts, terms.measurements)

    experiment.step = step


def _groups(experiment: Experiment) -> list[dict[str, object]]:
    return [group for optimizer in experiment.optimizers for group in optimizer.param_groups]  # type: ignore[misc]


FAULTS: tuple[Fault, ...] = (
    fault("stale_optimizer", "stale-optimizer", flat_buffers),
    fault("optimizer_of_copies", "stale-optimizer", copies),
    fault("backbone_not_held", "stale-optimizer", backbone_not_held),
    fault("rate_low/300", "learning-rate-too-low epsilon-too-large", rate_times(1 / 300)),
    fault("rate_low/50", "learning-rate-too-low epsilon-too-large", rate_times(1 / 50), severity="mild"),
    fault("rate_high/300", "learning-rate-too-high no-warm-up", rate_times(300)),
    fault("rate_high/30", "learning-rate-too-high no-warm-up", rate_times(30), severity="mild"),
    fault("no_warm_up", "no-warm-up learning-rate-too-high", no_warm_up_and_rate_times(10), severity="mild"),
    fault("rate_zero", "learning-rate-zero", rate_times(0)),
    fault("schedule_too_fast/decay", "schedule-too-fast", decay_every_step),
    fault("schedule_too_fast/milestones", "schedule-too-fast", drops_counted_in_steps, severity="mild"),
    fault("schedule_never_steps", "schedule-never-steps", drops_never_come, severity="mild"),
    fault("frozen_backbone/all", "backbone-frozen layers-frozen", freeze()),
    fault("frozen_backbone/part", "backbone-frozen layers-frozen", freeze(share=0.75), severity="mild"),
    fault("gradients_accumulate", "gradients-accumulate", gradients_add_up),
    fault("weight_decay/1000", "weight-decay-too-strong", weight_decay(0.5)),
    fault("weight_decay/100", "weight-decay-too-strong", weight_decay(0.05), severity="mild"),
    fault("clipped_away/1e-8", "gradient-clipped-away", clipped_to(1e-8)),
    fault("clipped_away/1e-6", "gradient-clipped-away", clipped_to(1e-6), severity="mild"),
    fault("adam_epsilon/10", "epsilon-too-large learning-rate-too-low", epsilon(10.0)),
    fault("adam_epsilon/0.1", "epsilon-too-large learning-rate-too-low", epsilon(0.1), severity="mild"),
    fault("tiny_batch", "batch-too-small", batch_of_few),
    fault("not_shuffled", "not-shuffled", in_order),
    fault("optimizer_never_steps", "scaler-always-skips no-gradient stale-optimizer", optimizer_never_steps),
    fault("no_gradient", "no-gradient detached-branch", result_thrown_away),
)
