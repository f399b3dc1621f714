"""Whether replays of a recorded pass are the pass: what a graph would leave as it was is looked for, and outputs are compared.

A graph holds what was given to the GPU. What a network does in Python beside it, such as draw a number or count its passes,
would be done once for all steps. B batch.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unplateau.engine.step_state import BufferCopy, Randomness

_LARGEST_DIFFERENCE = 0.05  # relative; the same kernels on the same numbers, so that nothing but their order of adding differs
_SMALL, _DEPTH = 64, 3  # elements of a tensor that is compared; collections within collections
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


@dataclass(frozen=True)
class HostState:
    """What passes may change without the GPU: generators of random numbers, and plain attributes of modules."""

    generators: dict[str, Any]
    attributes: dict[str, Any]

    @classmethod
    def now(cls, model: nn.Module, device: torch.device) -> HostState:
        """Return the present state; on the CPU torch's generator is the device's own, which replays draw from."""
        name, keys, position, *_ = np.random.get_state()  # noqa: NPY002 - of others, who may draw from it
        generators: dict[str, Any] = {"random": random.getstate(), "numpy.random": (name, np.asarray(keys).tobytes(), position)}
        if device.type != "cpu":
            generators["torch's generator of the CPU"] = torch.get_rng_state().numpy().tobytes()
        of_every_module = vars(nn.Module()).keys()
        attributes = {
            f"{path}.{name}".lstrip("."): _mark(value)
            for path, part in model.named_modules()
            for name, value in vars(part).items()
            if name not in of_every_module
        }
        return cls(generators, attributes)

    def change_since(self, before: HostState) -> str:
        """Return what has changed, in half a sentence; empty for nothing."""
        drawn = [name for name, state in self.generators.items() if state != before.generators[name]]
        if drawn:
            return f"the network draws from {drawn[0]} in its passes"
        names = sorted(self.attributes.keys() | before.attributes.keys())
        changed = [name for name in names if self.attributes.get(name) != before.attributes.get(name)]
        return f"the network changes its {changed[0]} in its passes" if changed else ""


class Witness:
    """Sees passes launched singly, and compares replays with them: each pass with other images and other random numbers.

    Args:
        model: whose passes they are.
        places: the tensors that a recording reads its batch from; they are written.
        buffers: as they were before the first pass; every pass begins with these.
    """

    def __init__(self, model: nn.Module, places: Sequence[Tensor], buffers: BufferCopy) -> None:
        self._model, self._places, self._buffers = model, places, buffers
        self._given = [place.clone() for place in places]
        self._device = places[0].device
        self._seen: list[tuple[Randomness, tuple[Tensor, ...]]] = []
        self._host: list[HostState] = []

    def begin(self) -> None:
        """Make everything ready for the next pass."""
        self._host.append(HostState.now(self._model, self._device))
        self._set_batch(len(self._seen))
        self._seen.append((Randomness.now(self._device), ()))

    def saw(self, outputs: Sequence[Tensor]) -> None:
        """Keep what the pass has given."""
        self._seen[-1] = (self._seen[-1][0], tuple(output.detach() for output in outputs))

    def check_host(self) -> None:
        """Raise RuntimeError where passes have changed the host's state; in the first one a network may prepare something."""
        change = HostState.now(self._model, self._device).change_since(self._host[min(1, len(self._host) - 1)])
        if change:
            raise RuntimeError(f"{change}, which a graph would do once for all steps")

    def check_replays(self, replay: Callable[[], None], outputs: Sequence[Tensor]) -> None:
        """Compare replays with all passes but the first.

        Raises:
            RuntimeError: they do not give the same.
        """
        for number, (randomness, expected) in enumerate(self._seen):
            if number == 0:
                continue
            self._set_batch(number)
            randomness.put_back()
            replay()
            if any(_difference(one, other) > _LARGEST_DIFFERENCE for one, other in zip(outputs, expected, strict=True)):
                raise RuntimeError("replayed, the network does not give what it gives launched singly")

    @torch.no_grad()
    def _set_batch(self, number: int) -> None:
        """Put the images in another order: each pass another batch, of the same people."""
        for place, given in zip(self._places, self._given, strict=True):
            place.copy_(given.roll(number, 0))
        self._buffers.put_back()


class Places:
    """What a recording rests on: where the tensors lie, which weights are trained, which parts are in training mode."""

    def __init__(self, model: nn.Module) -> None:
        self._parts = list(model.modules())  # found once: to walk through a model takes half a millisecond
        self._parameters = _slots(part._parameters for part in self._parts)
        self._buffers = _slots(part._buffers for part in self._parts)

    def now(self) -> tuple[Any, ...]:
        """Return it as it is at present."""
        parameters, buffers = (
            [tensor for tensors, name in slots if (tensor := tensors[name]) is not None]
            for slots in (self._parameters, self._buffers)
        )
        return (
            [tensor.data_ptr() for tensor in parameters], [tensor.requires_grad for tensor in parameters],
            [tensor.data_ptr() for tensor in buffers], [part.training for part in self._parts],
        )  # fmt: skip


def _slots(tensors_of_parts: Iterable[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    return [(tensors, name) for tensors in tensors_of_parts for name, tensor in tensors.items() if tensor is not None]


def _mark(value: Any, depth: int = 0) -> Any:
    """Return what tells whether a value is another: a plain one itself, of a collection its items, else the object."""
    if isinstance(value, _PLAIN):
        return repr(value)  # NaN is NaN
    if isinstance(value, Tensor) and value.device.type == "cpu" and value.numel() <= _SMALL:
        return value.dtype, value.tolist()  # on the host, where no graph changes it
    if depth < _DEPTH and isinstance(value, (list, tuple, deque)):
        return tuple(_mark(item, depth + 1) for item in value)
    if depth < _DEPTH and isinstance(value, dict):
        return tuple((repr(key), _mark(item, depth + 1)) for key, item in value.items())
    return _Same(value)


class _Same:
    """An object, equal to itself only. Holds it, so that its place in memory is not given to another."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._value is other._value

    __hash__ = None  # type: ignore[assignment]


def _difference(one: Tensor, other: Tensor) -> float:
    """Return the length of the difference by that of `other`. Synchronises the GPU."""
    one, other = (torch.nan_to_num(tensor.detach().float(), posinf=0.0, neginf=0.0) for tensor in (one, other))
    return float((one - other).norm() / other.norm().clamp(min=1e-30))
