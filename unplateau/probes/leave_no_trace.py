"""Lets a probe train on the real objects and puts everything back.

That is weights, buffers, gradients, modes, the state of optimisers, and every random state. Cost: one copy of them.
"""

import copy
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy
import torch
from torch import Tensor, nn


class Stateful(Protocol):
    """Optimisers, gradient scalers, moving averages."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


@contextmanager
def untouched(modules: Sequence[nn.Module], others: Sequence[Stateful] = ()) -> Iterator[None]:
    """Restore modules, other stateful objects and all random states when the block ends, to the bit, also after an error.

    Args:
        modules: the model and the losses. Their tensors keep their identity, so an optimiser still holds them.
        others: optimisers, a gradient scaler: whatever the block changes and that can load what it saved.
    """
    kept_modules = [_Kept(module) for module in modules]
    kept_others = [copy.deepcopy(other.state_dict()) for other in others]
    randomness = _random_states()
    try:
        yield
    finally:
        for kept in kept_modules:
            kept.restore()
        for other, state in zip(others, kept_others, strict=True):
            other.load_state_dict(state)
        _set_random_states(randomness)


class _Kept:
    """A module's tensors, gradients and modes at one moment."""

    def __init__(self, module: nn.Module) -> None:
        self.tensors = [(t, t.detach().clone()) for t in (*module.parameters(), *module.buffers())]
        self.gradients = [(p, None if p.grad is None else p.grad.detach().clone()) for p in module.parameters()]
        self.trained = [(p, p.requires_grad) for p in module.parameters()]
        self.modes = [(m, m.training) for m in module.modules()]

    @torch.no_grad()
    def restore(self) -> None:
        for tensor, value in self.tensors:
            tensor.copy_(value)
        for parameter, is_trained in self.trained:
            parameter.requires_grad_(is_trained)
        for parameter, gradient in self.gradients:
            parameter.grad = gradient
        for module, mode in self.modes:
            module.training = mode


def _random_states() -> tuple[Tensor, list[Tensor], Any, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return torch.get_rng_state(), cuda, numpy.random.get_state(), random.getstate()  # global states that user code may draw from


def _set_random_states(states: tuple[Tensor, list[Tensor], Any, Any]) -> None:
    torch.set_rng_state(states[0])
    if states[1]:
        torch.cuda.set_rng_state_all(states[1])
    numpy.random.set_state(states[2])
    random.setstate(states[3])
