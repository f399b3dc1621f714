"""Whether the gradient that autograd gives is the slope of what the model computes: the textbook's numeric check.

A `.detach()`, `.data` or `no_grad` inside the forward pass, or a backward function with a mistake, leaves outputs as they are
and hands back another gradient. Weights are moved a little to both sides, and outputs must change as the gradient says. Done on a
copy in double precision on the CPU, where steps may be so small that rectifiers are straight lines. Cost: 6 forward passes and a
backward pass of a few images; where something is off, some 100 more.

Shape legend: D values of a parameter.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from unplateau.probes.layer_groups import Groups
from unplateau.probes.leave_no_trace import untouched
from unplateau.runs.record import Measurement

Forward = Callable[[nn.Module], Sequence[Tensor]]
Direction = Mapping[str, Tensor]

_STEPS = (1e-8, 1e-7)  # of a weight's size: at 1e-6 healthy networks cross kinks, at 1e-9 rounding shows
_AGREES = 0.01  # relative; healthy networks are at 1e-9 to 1e-5
_STEADY = 0.1  # relative difference of the two steps' slopes, beyond which neither is believed
_NO_SLOPE = 1e-3  # per weight's size; the scalar is about 1, and rounding leaves 1e-6 of it
_SMALLEST_SIZE = 1e-3  # of a weight that is 0
_NUDGE = 0.01  # of a weight's size
_TINY = 1e-12
_SAME = 1e-9  # of the scalar
_EVERYWHERE, _IN_GROUP, _FOR_LENGTH = 1, 2, range(3, 15)  # seeds of directions
_SHORT = (torch.float32, torch.float16, torch.bfloat16)


def numeric_gradient(model: nn.Module, forward: Forward, groups: Groups, *, step: int | None = None) -> tuple[Measurement, ...]:
    """Compare autograd's slopes with measured ones: along the gradient itself, and along directions drawn at random.

    Args:
        model: in the mode that it trains in; it is copied, and parameters that ask for no gradient are not checked.
        forward: runs such a copy, in double precision on the CPU, on a few images and returns outputs with their graph.
        groups: parameter names by layer group.
        step: of the run.

    Returns:
        slope_apart: relative difference of the slope that the gradient promises and the measured one, the larger of two
        directions over all weights. Where it is large, for each layer group slope_along_gradient (what is measured along the
        gradient over what it promises) and slope_without_gradient (what is measured along the weights whose gradient is exactly
        0, a weight's size being 1); and for the weights of all groups whose gradient breaks its promise slope_cosine: the cosine
        of the gradient to the true one, whose length random directions estimate. What two step sizes measure differently is left
        out.

    Raises:
        RuntimeError: the model does not run so, not twice in the same way, or gives what is not finite.
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return ()
    scalar = _Scalar(model, forward)
    everything = list(scalar.parameters)
    directions = (scalar.uphill(everything), scalar.at_random(everything, _EVERYWHERE))
    slopes = [slope for direction in directions if (slope := scalar.slope(direction)) is not None]
    if not slopes:
        return ()
    worst = max(slope.apart for slope in slopes)
    found = (Measurement("slope_apart", worst, "relative", step),)
    return found if worst < _AGREES else (*found, *_by_group(scalar, groups, step))


def _by_group(scalar: _Scalar, groups: Groups, step: int | None) -> Iterator[Measurement]:
    broken: list[str] = []
    for group, members in groups.items():
        names = [name for name in members if name in scalar.parameters]
        sloped, silent = ([name for name in names if scalar.has_gradient(name) is has] for has in (True, False))
        if sloped and (slope := scalar.slope(scalar.uphill(sloped))) is not None and slope.given > _NO_SLOPE:
            yield Measurement("slope_along_gradient", slope.measured / slope.given, "ratio", step, group)
            broken += sloped if slope.apart > _AGREES else []
        if silent and (slope := scalar.slope(scalar.at_random(silent, _IN_GROUP))) is not None:
            yield Measurement("slope_without_gradient", abs(slope.measured), "of the outputs", step, group)
    if broken and (cosine := _cosine(scalar, broken)) is not None:
        yield Measurement("slope_cosine", cosine, "cosine", step)


def _cosine(scalar: _Scalar, names: Sequence[str]) -> float | None:
    """Weights in units of their size. Along normal draws the root mean square of slopes is the length of the true gradient."""
    uphill = scalar.uphill(names)
    along, drawn = scalar.slope(uphill), [scalar.slope(scalar.at_random(names, seed)) for seed in _FOR_LENGTH]
    squares = [slope.measured**2 for slope in drawn if slope is not None]
    if along is None or len(squares) < len(_FOR_LENGTH) / 2:
        return None
    length = max(sum(squares) / len(squares), _TINY) ** 0.5
    return max(-1.0, min(1.0, along.measured / scalar.length_of(uphill) / length))


class _Slope(NamedTuple):
    """A slope of the scalar along one direction."""

    given: float
    """By autograd."""
    measured: float

    @property
    def apart(self) -> float:
        return _apart(self.given, self.measured)


class _Scalar:
    """A number of the outputs as a function of the trained weights, with the same draws and buffers whenever it is computed."""

    def __init__(self, model: nn.Module, forward: Forward) -> None:
        self._model, self._forward = copy.deepcopy(model).cpu().double(), forward
        self.parameters = {name: p for name, p in self._model.named_parameters() if p.requires_grad}
        self._buffers = [(buffer, buffer.clone()) for buffer in self._model.buffers()]
        self._sizes = {name: max(float(p.detach().square().mean().sqrt()), _SMALLEST_SIZE) for name, p in self.parameters.items()}
        # a weight of exactly 0, as of a residual branch at its start, may stand in the kink of all rectifiers behind it
        self._move(self.at_random(list(self.parameters), 0), _NUDGE)
        with torch.no_grad():
            outputs = self._outputs()
        self._weights = [_drawn(tensor, seed) / max(float(tensor.norm()), _TINY) for seed, tensor in enumerate(outputs)]
        total, self._gradients = self._autograd()
        if not math.isfinite(total):
            raise RuntimeError("the model's outputs are not finite: no slope can be measured")
        if not abs(total - float(self._weighed(outputs))) <= _SAME * max(abs(total), 1.0):
            raise RuntimeError("two forward passes with the same weights and random draws differ: no slope can be measured")

    def has_gradient(self, name: str) -> bool:
        """Whether autograd says that the weight matters at all."""
        return bool(self._gradients[name].count_nonzero())

    def uphill(self, names: Sequence[str]) -> Direction:
        """Along the gradient, weights in units of their size; at most one size for the weight that moves most."""
        scaled = {name: self._sizes[name] ** 2 * self._gradients[name] for name in names}
        most = max((float((change / self._sizes[name]).abs().max()) for name, change in scaled.items()), default=0.0)
        return {name: change / most for name, change in scaled.items()} if most > 0 else {}

    def length_of(self, direction: Direction) -> float:
        """The length of a direction, weights in units of their size."""
        return sum(float((change / self._sizes[name]).square().sum()) for name, change in direction.items()) ** 0.5

    def at_random(self, names: Sequence[str], seed: int) -> Direction:
        """Every weight by a normal draw of its size."""
        generator = torch.Generator().manual_seed(seed)
        return {
            name: self._sizes[name] * torch.randn(self.parameters[name].shape, generator=generator, dtype=torch.double)
            for name in names
        }

    def slope(self, direction: Direction) -> _Slope | None:
        """The slope along a direction, by the step size that comes nearer to autograd's; None where it cannot be trusted."""
        given = sum(float((self._gradients[name] * change).sum()) for name, change in direction.items())
        first = self._measured(direction, _STEPS[0])
        if _apart(given, first) < _AGREES:
            return _Slope(given, first)
        second = self._measured(direction, _STEPS[1])
        if _apart(first, second) > _STEADY:
            return None
        return min((_Slope(given, measured) for measured in (first, second)), key=lambda slope: slope.apart)

    def _measured(self, direction: Direction, size: float) -> float:
        values = []
        for move in (size, -2 * size):
            self._move(direction, move)
            values.append(self._value())
        self._move(direction, size)
        return (values[0] - values[1]) / (2 * size)

    @torch.no_grad()
    def _move(self, direction: Direction, size: float) -> None:
        for name, change in direction.items():
            self.parameters[name].add_(change, alpha=size)

    @torch.no_grad()
    def _value(self) -> float:
        return float(self._weighed(self._outputs()))

    def _weighed(self, outputs: Sequence[Tensor]) -> Tensor:
        return torch.stack([(tensor * weight).sum() for tensor, weight in zip(outputs, self._weights, strict=True)]).sum()

    def _autograd(self) -> tuple[float, dict[str, Tensor]]:
        with torch.enable_grad():
            total = self._weighed(self._outputs())
            if not total.requires_grad:
                return float(total.detach()), {name: torch.zeros_like(p) for name, p in self.parameters.items()}
            found = torch.autograd.grad(total, list(self.parameters.values()), allow_unused=True, materialize_grads=True)
        return float(total.detach()), dict(zip(self.parameters, found, strict=True))

    def _outputs(self) -> list[Tensor]:
        with torch.no_grad():
            for buffer, kept in self._buffers:
                buffer.copy_(kept)  # running statistics, counters
        with _fixed_draws(), _in_doubles():
            return [tensor.double() for tensor in self._forward(self._model)]


def _apart(one: float, other: float) -> float:
    largest = max(abs(one), abs(other))
    return abs(one - other) / largest if largest > _NO_SLOPE else 0.0


def _drawn(tensor: Tensor, seed: int) -> Tensor:
    return torch.randn(tensor.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


@contextmanager
def _fixed_draws() -> Iterator[None]:
    with untouched(()):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 - global states that user code may draw from
        random.seed(0)
        yield


@contextmanager
def _in_doubles() -> Iterator[None]:
    """Tensors are made in double precision, and stay in it where code asks for a shorter one."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.double)
    try:
        with _NothingShorter():
            yield
    finally:
        torch.set_default_dtype(usual)


class _NothingShorter(TorchFunctionMode):
    """Rounding to 24 bits would drown steps of a millionth."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.float, Tensor.half, Tensor.bfloat16):
            return args[0].double()
        longer = {name: _longer(value) for name, value in (kwargs or {}).items()}
        return func(*map(_longer, args), **longer)


def _longer(value: Any) -> Any:
    return torch.double if isinstance(value, torch.dtype) and value in _SHORT else value
