"""Reads a training from outside, step by step: losses, motion of the weights, gradients, the optimiser's contents.

The optimiser's own step hooks tell when it steps and show gradients before anyone clears them; they are gone after `close`.
Nothing else is touched: no random number is drawn, no gradient written, no mode changed.
"""

import math
import time
from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from unplateau.engine.watching.loss_history import LossHistory, Terms
from unplateau.engine.watching.motion_record import Before, MotionRecord, Seen, see, take_before
from unplateau.probes.layer_groups import by_layer
from unplateau.probes.optimizer_contents import optimizer_contents
from unplateau.runs.record import Measurement

FIRST_STEPS = 6  # measured one by one: three updates make sure, and warm-up from 0 or a scaler may waste a few
SHARE = 0.005  # of the training's time that watching may take after the first steps; a quarter of what is promised
_LONGEST_STEP = 60.0  # seconds that count of a step, at most
_MOST_PENDING = 1000  # steps whose losses may wait on the device
_NO_RATE = 1e-6  # of the highest so far; nobody trains with it
_CHANGED = 1.02  # times; a rate that moves by less stands still
_NORMS_ASKED = 8  # layers of batch normalisation
_FIRST_ELEMENTS, _LATER_ELEMENTS = 4096, 64  # of each tensor


class TrainingReader:
    """Measures a training that someone else runs."""

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer], *, every: int) -> None:
        """Look at the names of layers; nothing is measured before `open`.

        Args:
            model: the network, bare or wrapped.
            optimizers: all that train it.
            every: steps between measurements after the first few; more where one would take over SHARE of the time.
        """
        self._model, self._every = model, every
        self.optimizers = tuple(_unwrapped(optimizer) for optimizer in optimizers)
        self.losses = LossHistory()
        self.motion = MotionRecord(by_layer(name for name, _ in model.named_parameters()))
        self.step_number = 0
        self.optimizer_steps = 0
        self._rates, self._modes = _Rates(), _Modes(model)
        self._handles: list[Any] = []
        self._before: Before | None = None
        self._seen: Seen | None = None
        self._steps_when_armed = 0
        self._arm_at = 0
        self._clock = _Clock()

    def open(self) -> None:
        """Begin: before the first step, so that it can be measured."""
        self._handles = [o.register_step_pre_hook(self._on_optimizer_step) for o in self.optimizers if isinstance(o, Optimizer)]
        self._arm(_FIRST_ELEMENTS)
        self._clock = _Clock()

    def close(self) -> None:
        """Read what is left and remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._before = [], None
        self.losses.flush(self._rate())

    def step(self, terms: Terms) -> bool:
        """Take a finished step in; return whether something new was read to the host."""
        started = time.perf_counter()
        self.step_number += 1
        if not self._handles:  # an optimiser without hooks: gradients are read now, and every step counts as a step of it
            self._on_optimizer_step()
        self.losses.add(self.step_number, terms)
        self._modes.add()
        is_measured = self._before is not None and self.optimizer_steps > self._steps_when_armed
        if is_measured:
            self._measure()
        was_read = is_measured or self._is_flush_due()
        if was_read:
            self.losses.flush(self._rate())
        is_first = self.step_number < FIRST_STEPS
        if self._before is None and (is_first or self.step_number >= self._arm_at):
            self._arm(_FIRST_ELEMENTS if is_first else _LATER_ELEMENTS)
        self._clock.book(time.perf_counter() - started)
        self._clock.tick()
        if self.step_number == FIRST_STEPS:
            self._clock.begin_share(self.step_number)
        return was_read

    def book(self, seconds: float) -> None:
        """Add time that judging took, so that it counts against the same share."""
        self._clock.book(seconds)

    @property
    def share_of_time(self) -> float:
        """Time that watching took of all time from `open` to the latest step."""
        return self._clock.share

    @property
    def is_over_budget(self) -> bool:
        """Whether watching has used up its share for now."""
        return self._clock.steps_to_wait(self.step_number) > 0

    def measurements(self) -> tuple[Measurement, ...]:
        """Return what has been seen so far."""
        step = self.step_number
        held = optimizer_contents(self.optimizers, self._model.parameters(), step=step)
        counts = (
            Measurement("watched_steps", float(step), "steps", step),
            Measurement("optimizer_steps", float(self.optimizer_steps), "steps", step),
            Measurement("updates_not_finite", float(self.motion.skipped), "measured updates", step),
        )
        return (*counts, *self._rates.measurements(step), *self._modes.measurements(step), *held, *self.motion.measurements(step))

    def _is_flush_due(self) -> bool:
        waiting = self.losses.num_pending
        return waiting >= _MOST_PENDING or (waiting >= self._every and not self.is_over_budget)

    def _measure(self) -> None:
        assert self._before is not None and self._seen is not None
        self.motion.after(self._before, self._seen)
        self._before = None
        self._arm_at = self.step_number + max(self._every, self._clock.steps_to_wait(self.step_number))

    def _arm(self, elements: int) -> None:
        self._before = take_before(self._model, elements=elements)
        self._seen, self._steps_when_armed = None, self.optimizer_steps

    def _on_optimizer_step(self, *_: Any) -> None:
        started = time.perf_counter()
        self.optimizer_steps += 1
        self._rates.add(self.optimizers)
        if self._before is not None and self._seen is None:
            self._seen = see(self._before, self.optimizers)
        self._clock.book(time.perf_counter() - started)

    def _rate(self) -> dict[str, float]:
        rates = [float(group["lr"]) for optimizer in self.optimizers for group in optimizer.param_groups]
        return {"learning_rate": max(rates)} if rates else {}


class _Rates:
    """The rate of every update; one that lies on a device is left alone, for reading it waits."""

    def __init__(self) -> None:
        self._sum = self._highest = self._peak = self._last = 0.0
        self._count = self._zeros = self._valleys = 0
        self._is_falling = False

    def add(self, optimizers: Sequence[Optimizer]) -> None:
        rates = [g["lr"] for optimizer in optimizers for g in optimizer.param_groups if isinstance(g["lr"], float | int)]
        if rates:
            fastest = float(max(rates))
            self._peak = max(self._peak, fastest)
            self._sum, self._count = self._sum + fastest, self._count + 1
            self._zeros += fastest <= _NO_RATE * self._peak
            self._highest = max(self._highest, float(min(rates)))
            self._turn(fastest)

    def _turn(self, rate: float) -> None:
        if self._is_falling and rate > _CHANGED * self._last:
            self._valleys += 1
            self._is_falling = False
        elif rate * _CHANGED < self._last:
            self._is_falling = True
        if abs(rate - self._last) > (_CHANGED - 1) * self._last:  # a slow rise or fall is seen once it has come so far
            self._last = rate

    def measurements(self, step: int) -> tuple[Measurement, ...]:
        """rate_highest of the slowest group, and rate_mean of the fastest: groups with factors of their own raise no alarm.

        Of the fastest also rate_at_zero (share of the updates at 0, or at a millionth of its highest) and rate_valleys (how
        often it rose again after it had fallen).
        """
        if not self._count:
            return ()
        return (
            Measurement("rate_highest", self._highest, "learning rate", step),
            Measurement("rate_mean", self._sum / self._count, "learning rate", step),
            Measurement("rate_at_zero", self._zeros / self._count, "share", step),
            Measurement("rate_valleys", float(self._valleys), "times", step),
        )


class _Modes:
    """In how many steps batch normalisation was in evaluation mode; a few of its layers speak for all."""

    def __init__(self, model: nn.Module) -> None:
        norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        self._norms = norms[:: max(1, len(norms) // _NORMS_ASKED)]
        self._steps = self._evaluating = 0

    def add(self) -> None:
        self._steps += 1
        self._evaluating += 2 * sum(norm.training for norm in self._norms) < len(self._norms)

    def measurements(self, step: int) -> tuple[Measurement, ...]:
        """steps_in_evaluation_mode: share of the steps after which most of the layers were in it."""
        if not self._norms or not self._steps:
            return ()
        return (Measurement("steps_in_evaluation_mode", self._evaluating / self._steps, "share", step),)


class _Clock:
    """How much of the training's time watching takes, and how long it has to wait to keep its share."""

    def __init__(self) -> None:
        self._seen_at = time.perf_counter()
        self._passed = self._own = 0.0
        self._passed_before = self._own_before = 0.0
        self._first_step = 0

    def book(self, seconds: float) -> None:
        self._own += seconds

    def tick(self) -> None:
        """Count the time since the last step; a pause, such as a laptop's sleep, is no time that watching may use."""
        now = time.perf_counter()
        self._passed += min(now - self._seen_at, _LONGEST_STEP)
        self._seen_at = now

    def begin_share(self, step: int) -> None:
        """Count from here: the first steps are looked at whatever it costs."""
        self._passed_before, self._own_before, self._first_step = self._passed, self._own, step

    @property
    def share(self) -> float:
        return self._own / max(self._passed, 1e-9)

    def steps_to_wait(self, step: int) -> int:
        """Steps until the time used so far is SHARE of all; 0 where it is already less."""
        passed, own, steps = self._passed - self._passed_before, self._own - self._own_before, step - self._first_step
        if steps <= 0:
            return 0
        return max(0, math.ceil((own / SHARE - passed) / max(passed / steps, 1e-9)))


def _unwrapped(optimizer: Any) -> Any:
    """Return the torch optimiser inside Lightning's or Accelerate's wrapper, which share no base class."""
    inner = getattr(optimizer, "optimizer", None)
    return inner if isinstance(inner, Optimizer) else optimizer
