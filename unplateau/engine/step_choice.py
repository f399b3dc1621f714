"""Chooses number format and memory layout of the training step by timing a few real steps, on copies that are thrown away.

Which ways are open is `precision`'s business. A way is used only where its loss and its gradient are those of the plainest
way, and where it is faster by enough; nothing is measured where that would take over 2 % of the run. B batch, C/H/W image.
"""

import copy
import math
import time
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from unplateau.config.schema import Config
from unplateau.data.loader import Batch, TrainLoader
from unplateau.engine.freezing import freeze
from unplateau.engine.frozen_format import frozen_format
from unplateau.engine.parts import Parts
from unplateau.engine.precision import all_finite, precision_of, ways
from unplateau.engine.ranks import Ranks
from unplateau.engine.train_step import forward_losses, train_step
from unplateau.losses.combine import Losses
from unplateau.models.reid import ReidModel
from unplateau.optim.build import build_optimizers
from unplateau.probes.leave_no_trace import untouched
from unplateau.runs.step_choice import StepChoice, StepTiming, StepWay

_SHARE_OF_RUN = 0.02
_FEWEST_STEPS, _MOST_ROUNDS = 3, 9  # of one way: one that is checked, and rounds that are timed
_ENOUGH_SECONDS = 8.0  # after two rounds; a slow step is seen clearly sooner
_HOPELESS = 1.3  # times the fastest so far, after the first round
_HEAD_STARTS = {"plain": 1.0, "fp32": 1.03, "half": 1.1}  # what another layout, and fewer bits, must at least gain
_LARGEST_LOSS_DIFFERENCE = 0.05  # relative; bf16, with its 8 bits, was seen at 0.025 (benchmarks/step/choices.py)
# Cosines of the gradient with the plainest way's, backbone and head. The head's is steady (bf16 at 0.90 and more). Further down
# it is not: rounding changes the mining and grows through a deep network, with random weights to 0.26, which still trains; what a
# wrong kernel gives is about 0. The same format in another layout was seen at 0.997 and more.
_LEAST_AGREEMENTS = {"same format": (0.8, 0.98), "fewer bits": (0.1, 0.85)}
_NORM_RATIOS = (0.4, 2.5)
_FIRST_SCALE, _SCALE_HALVINGS = 2.0**16, 16  # as a gradient scaler finds its scale


@dataclass(frozen=True)
class Unmeasured:
    """A training before its step is chosen: model and losses on their device, the model still contiguous."""

    config: Config
    device: torch.device
    ranks: Ranks
    model: ReidModel
    losses: Losses
    loader: TrainLoader


def step_by_rule(training: Unmeasured) -> StepChoice:
    """Return what the configuration says, by rule where it leaves something open."""
    open_ways = ways(training.config, training.device, training.model)
    return StepChoice(open_ways[-1], "set" if len(open_ways) == 1 else "rule")


def way_of_run(stored: StepChoice | None, open_ways: tuple[StepWay, ...]) -> StepWay:
    """Return the way of a run whose model is looked at again, or the one by rule where this machine does not compute so."""
    return stored.way if stored is not None and stored.way in open_ways else open_ways[-1]


def choose_step(training: Unmeasured) -> StepChoice:
    """Return the fastest right way to compute this training's steps. To be called on every rank; leaves no trace."""
    open_ways = ways(training.config, training.device, training.model)
    is_short = num_steps(training) * _SHARE_OF_RUN < _FEWEST_STEPS * len(open_ways)
    if len(open_ways) == 1 or is_short or not training.config.SOLVER.MEASURE_STEP:
        return step_by_rule(training)
    started = time.perf_counter()
    batch = next(iter(training.loader.laid_out(False).epoch(1)))
    is_in_range_B = (batch.person_ids_B >= 0) & (batch.person_ids_B < training.loader.num_identities)
    if training.ranks.any(not is_in_range_B.all()):
        return step_by_rule(training)  # no loss can be computed; preflight will say so
    with untouched([]):
        timings = measure_ways(training, open_ways, batch, num_steps=num_steps(training))
    choice = StepChoice(winner(timings), "measured", timings, machine(training.device), time.perf_counter() - started)
    if all(timing.problem for timing in timings):
        choice = step_by_rule(training)
    return cast(StepChoice, training.ranks.from_main(choice))


def measure_ways(training: Unmeasured, open_ways: tuple[StepWay, ...], batch: Batch, *, num_steps: int) -> tuple[StepTiming, ...]:
    """Check every way on one batch, then time them in turn, so that all meet the same machine. Works on copies.

    Args:
        training: model and losses are left as they are; the global random streams are drawn from.
        open_ways: of `precision.ways`, the plainest first.
        batch: of the real size, contiguous.
        num_steps: of the run, a share of which the timing may take.
    """
    laid_out = {is_last: rehearsal(training, channels_last=is_last) for is_last in {way.channels_last for way in open_ways}}
    runners = [_Runner(computing(laid_out[way.channels_last], way), way, batch) for way in open_ways]
    reference: _Seen | None = None
    for runner in runners:
        reference = runner.check(reference) or reference
    _race([runner for runner in runners if not runner.timing.problem], _SHARE_OF_RUN * num_steps)
    return tuple(runner.timing for runner in runners)


def _race(racing: list["_Runner"], steps_worth: float) -> None:
    """Time the ways until that takes as long as so many of the fastest steps, each of them twice at least."""
    started, fastest = time.perf_counter(), 0.0
    for done in range(_MOST_ROUNDS if racing else 0):
        if done >= _FEWEST_STEPS - 1 and time.perf_counter() - started > min(_ENOUGH_SECONDS, steps_worth * fastest):
            return
        for runner in racing:
            runner.time_step()
        fastest = min(runner.timing.seconds for runner in racing)
        racing = [one for one in racing if one is racing[0] or one.timing.seconds < _HOPELESS * fastest]


def num_steps(training: Unmeasured) -> int:
    """Return the steps that the run will take at most."""
    settings = training.config.SOLVER
    return (settings.STOP_EPOCH or settings.MAX_EPOCH) * training.loader.steps_per_epoch


def winner(timings: tuple[StepTiming, ...]) -> StepWay:
    """Return the fastest of the usable ways, each with its handicap."""
    return min(timings, key=lambda one: (bool(one.problem), one.seconds * _handicap(one.way, timings[0].way))).way


def _handicap(way: StepWay, plainest: StepWay) -> float:
    if way == plainest:
        return _HEAD_STARTS["plain"]
    return _HEAD_STARTS["fp32" if _bits(way) == _bits(plainest) else "half"]


def _bits(way: StepWay) -> tuple[str, str]:
    return way.number_format, way.frozen_format


@dataclass(frozen=True)
class _Seen:
    """Loss and gradients, of backbone and head, of one way."""

    total: float
    gradient: Tensor
    head_gradient: Tensor
    bits: tuple[str, str]

    @property
    def is_finite(self) -> bool:
        """Whether all of it is a number. Synchronises the GPU."""
        return math.isfinite(self.total) and all_finite((self.gradient, self.head_gradient))


class _Runner:
    """One way, taking steps at a learning rate of 0."""

    def __init__(self, parts: Parts, way: StepWay, batch: Batch) -> None:
        layout = torch.channels_last if way.channels_last else torch.contiguous_format
        self._parts, self._batch = parts, replace(batch, images_BCHW=batch.images_BCHW.contiguous(memory_format=layout))
        self.timing = StepTiming(way, math.inf)

    def check(self, reference: _Seen | None) -> _Seen | None:
        """Compare loss and gradient with those of the plainest way, or become the reference."""
        try:
            seen = _look(self._parts, self._batch, _bits(self.timing.way))
            train_step(self._parts, self._batch)  # optimiser state, lazy initialisation
        except (RuntimeError, IndexError, NotImplementedError) as error:  # out of memory, or no kernel for this format or layout
            self.timing = replace(self.timing, problem=f"it failed: {str(error).splitlines()[0][:120]}")
            return None
        if reference is not None:
            is_same = _bits(self.timing.way) == reference.bits
            self.timing = _compared(self.timing, seen, reference, kind="same format" if is_same else "fewer bits")
        elif not seen.is_finite:
            self.timing = replace(self.timing, problem="its loss or gradient is not finite")
        return None if reference is not None or self.timing.problem else seen

    def time_step(self) -> None:
        """Do a step and keep its time where it is the shortest so far."""
        wait(self._parts.device)
        started = time.perf_counter()
        train_step(self._parts, self._batch)
        wait(self._parts.device)
        self.timing = replace(self.timing, seconds=min(self.timing.seconds, time.perf_counter() - started))


def computing(parts: Parts, way: StepWay) -> Parts:
    """Return the same parts in this number format."""
    frozen = frozen_format(parts.model, parts.config, way.frozen_format, parts.device)
    return replace(parts, precision=precision_of(way.number_format, parts.device), frozen=frozen)


def rehearsal(training: Unmeasured, *, channels_last: bool) -> Parts:
    """Return copies of this training's parts, in single precision, at a learning rate of 0."""
    model, losses = copy.deepcopy((training.model, training.losses))
    model.train()
    freeze(model, training.config, training.config.SOLVER.FREEZE_ITERS)  # as most steps are: after the thaw
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizers = build_optimizers(training.config, model, losses)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = 0.0  # every way sees the same weights
    return Parts(
        config=training.config,
        device=training.device,
        precision=precision_of("fp32", training.device),
        ranks=Ranks(),  # each process measures for itself
        model=model,
        network=model,
        losses=losses,
        optimizers=optimizers,
        average=None,
        train_loader=training.loader,
        validate=None,
    )


def _look(parts: Parts, batch: Batch, bits: tuple[str, str]) -> _Seen:
    """Return loss and gradient; the scale is halved until they are finite, as a gradient scaler does it."""
    scale = _FIRST_SCALE if parts.precision.scaler is not None else 1.0
    for _ in range(_SCALE_HALVINGS if parts.precision.scaler is not None else 1):
        torch.manual_seed(0)  # the same dropout in every way
        for module in (parts.model, parts.losses):
            module.zero_grad(set_to_none=True)
        total = forward_losses(parts, batch).total
        torch.autograd.backward(total * scale)
        seen = _Seen(
            float(total.detach()),
            _gradient(parts.model.backbone) / scale,
            _gradient(parts.model.head) / scale,
            bits,
        )
        if seen.is_finite:
            break
        scale /= 2
    return seen


def _gradient(module: nn.Module) -> Tensor:
    gradients = [p.grad.detach().flatten().float() for p in module.parameters() if p.grad is not None]
    return torch.cat(gradients) if gradients else torch.zeros(0)


def _compared(timing: StepTiming, seen: _Seen, reference: _Seen, *, kind: str) -> StepTiming:
    if not seen.is_finite:
        problem = "its loss or gradient is not finite"
        return replace(timing, loss_difference=math.inf, gradient_agreement=0.0, head_agreement=0.0, problem=problem)
    difference = abs(seen.total - reference.total) / max(abs(reference.total), 1e-6)
    agreement = _cosine(seen.gradient, reference.gradient)
    of_head = _cosine(seen.head_gradient, reference.head_gradient)
    norm_ratio = float(seen.gradient.norm() / reference.gradient.norm().clamp(min=1e-30))
    problem = ""
    if difference > _LARGEST_LOSS_DIFFERENCE:
        problem = f"its loss differs by {100 * difference:.1f} %"
    elif agreement < _LEAST_AGREEMENTS[kind][0] or of_head < _LEAST_AGREEMENTS[kind][1]:
        problem = f"its gradient points elsewhere (cosine {agreement:.2f}, the head's {of_head:.2f})"
    elif not _NORM_RATIOS[0] < norm_ratio < _NORM_RATIOS[1]:
        problem = f"its gradient is {norm_ratio:.2g} times as long"
    return replace(timing, loss_difference=difference, gradient_agreement=agreement, head_agreement=of_head, problem=problem)


def _cosine(one: Tensor, other: Tensor) -> float:
    """Return the cosine of two gradients: 1 where neither way has any, 0 where only one has."""
    if len(one) != len(other):
        return 0.0
    if not one.any() and not other.any():
        return 1.0
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


def wait(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def machine(device: torch.device) -> str:
    """Return what measured, in words."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU with {torch.get_num_threads()} threads"
    return f"{name}, torch {torch.__version__}"
