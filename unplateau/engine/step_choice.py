"""Chooses number format and memory layout of the training step by timing a few real steps, on copies that are thrown away, and
on a GPU whether the passes are replayed as a graph.

Which formats and layouts are open is `precision`'s business. A way is used only where its loss and its gradient are those of the
plainest way (`step_check`), and where it is faster by enough; nothing is measured where that would take over 2 % of the run, nor
where DETERMINISTIC forbids the clock to decide. B batch, C/H/W image.
"""

import copy
import logging
import math
import time
from dataclasses import replace
from typing import cast

import torch

from unplateau.base.errors import first_sentence
from unplateau.data.loader import Batch
from unplateau.engine.freezing import freeze
from unplateau.engine.frozen_format import frozen_format
from unplateau.engine.graphed import GraphedNetwork
from unplateau.engine.kernels import without_search
from unplateau.engine.parts import Parts
from unplateau.engine.precision import precision_of
from unplateau.engine.ranks import Ranks
from unplateau.engine.step_check import Seen, compared, look
from unplateau.engine.step_rule import Unmeasured, step_as_asked, ways_to_time
from unplateau.engine.train_step import train_step
from unplateau.optim.build import build_optimizers
from unplateau.probes.leave_no_trace import untouched
from unplateau.runs.step_choice import StepChoice, StepTiming, StepWay

_log = logging.getLogger(__name__)
_SHARE_OF_RUN = 0.02
_FEWEST_STEPS, _MOST_ROUNDS = 3, 9  # of one way: one that is checked, and rounds that are timed
_ENOUGH_SECONDS = 8.0  # after two rounds; a slow step is seen clearly sooner
_HOPELESS = 1.3  # times the fastest so far, after the first round
_HEAD_STARTS = {"plain": 1.0, "fp32": 1.03, "half": 1.1}  # what another layout, and fewer bits, must at least gain
_HEAD_START_OF_GRAPH = 1.1  # beside these: it holds memory, and is one more thing that can go wrong
_MOST_WARM_UPS, _STEADY = 8, 0.05  # on a GPU, where kernels are loaded and chosen at their first use
_IN_A_ROW = {"cuda": 4}  # steps timed as one: a GPU computes a step while the next one is launched


def choose_step(training: Unmeasured) -> StepChoice:
    """Return the fastest right way to compute this training's steps. To be called on every rank; leaves no trace.

    Raises:
        ConfigError: a CUDA graph is asked for where there can be none.
    """
    by_rule, open_ways = step_as_asked(training), ways_to_time(training)
    is_short = num_steps(training) * _SHARE_OF_RUN < _FEWEST_STEPS * len(open_ways)
    may_measure = training.config.SOLVER.MEASURE_STEP and not training.config.DETERMINISTIC
    if len(open_ways) == 1 or is_short or not may_measure:
        return by_rule
    started = time.perf_counter()
    batch = next(iter(training.loader.laid_out(False).epoch(1)))
    is_in_range_B = (batch.person_ids_B >= 0) & (batch.person_ids_B < training.loader.num_identities)
    if training.ranks.any(not is_in_range_B.all()):
        return by_rule  # no loss can be computed; preflight will say so
    with untouched([]), without_search():
        timings = measure_ways(training, open_ways, batch, num_steps=num_steps(training))
    eligible = _eligible(timings, is_graph_asked=by_rule.way.is_graphed)
    choice = by_rule
    if not all(timing.problem for timing in eligible):
        choice = StepChoice(winner(eligible), "measured", timings, machine(training.device), time.perf_counter() - started)
    return cast(StepChoice, training.ranks.from_main(choice))


def _eligible(timings: tuple[StepTiming, ...], *, is_graph_asked: bool) -> tuple[StepTiming, ...]:
    """Return what may be chosen: where a graph is asked for graphs only, unless none of them can be used."""
    graphs = tuple(timing for timing in timings if timing.way.is_graphed)
    if not is_graph_asked or any(not timing.problem for timing in graphs):
        return graphs if is_graph_asked else timings
    singly = tuple(timing for timing in timings if not timing.way.is_graphed)
    if not graphs or all(timing.problem for timing in singly):
        return ()
    _log.warning("SOLVER.CUDA_GRAPH is on, but of a graph: %s. Steps are computed without one.", graphs[-1].problem)
    return singly


def measure_ways(training: Unmeasured, open_ways: tuple[StepWay, ...], batch: Batch, *, num_steps: int) -> tuple[StepTiming, ...]:
    """Check every way on one batch, then time them in turn, so that all meet the same machine. Works on copies.

    Args:
        training: model and losses are left as they are; the global random streams are drawn from.
        open_ways: the plainest first, graphs last.
        batch: of the real size, contiguous.
        num_steps: of the run, a share of which the timing may take.
    """
    laid_out = {is_last: rehearsal(training, channels_last=is_last) for is_last in {way.channels_last for way in open_ways}}
    singly = [way for way in open_ways if not way.is_graphed]
    runners = [_Runner(computing(laid_out[way.channels_last], way), way, batch) for way in singly]
    reference: Seen | None = None
    for runner in runners:
        reference = runner.check(reference) or reference
    racing = [runner for runner in runners if not runner.timing.problem]
    if training.device.type == "cuda":
        for runner in racing:
            runner.warm_up()
    _race(racing, _SHARE_OF_RUN * num_steps)
    graphs = (_Runner(computing(laid_out[way.channels_last], way), way, batch) for way in open_ways if way.is_graphed)
    steps_worth = _SHARE_OF_RUN * num_steps
    timed = (_timed_alone(runner, reference, steps_worth) for runner in graphs if reference is not None)
    return (*(runner.timing for runner in runners), *timed)


def _timed_alone(runner: "_Runner", reference: Seen, steps_worth: float) -> StepTiming:
    """Check and time a graph after the others: it keeps its memory to itself, and they might not fit beside it."""
    runner.check(reference)
    if not runner.timing.problem:
        runner.warm_up()
        _race([runner], steps_worth)
    runner.release()
    return runner.timing


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
    of_graph = _HEAD_START_OF_GRAPH if way.is_graphed and not plainest.is_graphed else 1.0
    return of_graph * _HEAD_STARTS["fp32" if _bits(way) == _bits(plainest) else "half"]


def _bits(way: StepWay) -> tuple[str, str]:
    return way.number_format, way.frozen_format


class _Runner:
    """One way, taking steps at a learning rate of 0."""

    def __init__(self, parts: Parts, way: StepWay, batch: Batch) -> None:
        layout = torch.channels_last if way.channels_last else torch.contiguous_format
        self._parts, self._batch = parts, replace(batch, images_BCHW=batch.images_BCHW.contiguous(memory_format=layout))
        self.timing = StepTiming(way, math.inf)

    def check(self, reference: Seen | None) -> Seen | None:
        """Compare loss and gradient with those of the plainest way, or become the reference."""
        try:
            if isinstance(self._parts.network, GraphedNetwork):
                self._parts.network.record(self._batch.images_BCHW, self._batch.person_ids_B, self._batch.camera_ids_B)
            seen = look(self._parts, self._batch, _bits(self.timing.way))
            train_step(self._parts, self._batch)  # optimiser state, lazy initialisation
        except (RuntimeError, IndexError, NotImplementedError) as error:  # out of memory, or no kernel for this format or layout
            self.timing = replace(self.timing, problem=f"it failed: {first_sentence(error)[:120]}")
            return None
        if reference is not None:
            is_same = _bits(self.timing.way) == reference.bits
            self.timing = compared(self.timing, seen, reference, kind="same format" if is_same else "fewer bits")
        elif not seen.is_finite:
            self.timing = replace(self.timing, problem="its loss or gradient is not finite")
        return None if reference is not None or self.timing.problem else seen

    def warm_up(self) -> None:
        """Do steps until two take the same time."""
        before = math.inf
        for _ in range(_MOST_WARM_UPS):
            seconds = self._seconds(1)
            if abs(seconds - before) < _STEADY * seconds:
                return
            before = seconds

    def time_step(self) -> None:
        """Do a step, on a GPU a few, and keep the time of one where it is the shortest so far."""
        seconds = self._seconds(_IN_A_ROW.get(self._parts.device.type, 1))
        self.timing = replace(self.timing, seconds=min(self.timing.seconds, seconds))

    def release(self) -> None:
        """Give back what a graph holds."""
        if isinstance(self._parts.network, GraphedNetwork):
            self._parts.network.release()

    def _seconds(self, num_steps: int) -> float:
        wait(self._parts.device)
        started = time.perf_counter()
        for _ in range(num_steps):
            train_step(self._parts, self._batch)
        wait(self._parts.device)
        return (time.perf_counter() - started) / num_steps


def computing(parts: Parts, way: StepWay) -> Parts:
    """Return the same parts computing so; the layout is not changed."""
    frozen = frozen_format(parts.model, parts.config, way.frozen_format, parts.device)
    precision = precision_of(way.number_format, parts.device)
    network = GraphedNetwork(parts.model, precision) if way.is_graphed else parts.network
    return replace(parts, precision=precision, frozen=frozen, network=network)


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


def wait(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def machine(device: torch.device) -> str:
    """Return what measured, in words."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU with {torch.get_num_threads()} threads"
    return f"{name}, torch {torch.__version__}"
