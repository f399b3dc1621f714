"""Gradient checkpointing of any backbone: which of its parts are computed again in the backward pass, and doing so.

Chen et al. 2016, arXiv 1604.06174. A part keeps its input only. Which parts: a small batch is run once, what each part
keeps for the backward pass is added up, and of a few ways to cut the network the one with the lowest peak is taken.
Randomness is replayed (by torch); buffers, such as batch statistics, are the caller's to put back after the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_SHARES = tuple(0.5**power for power in range(8))  # of all that is kept: the largest part that is not cut further


@dataclass
class PartMemory:
    """What one called module keeps for the backward pass, in bytes."""

    name: str
    input_bytes: int = 0
    kept_bytes: int = 0
    """Of tensors that nothing before it keeps, parameters left out."""
    num_calls: int = 0
    has_parts: bool = False
    changes_its_input: bool = False

    @property
    def can_be_recomputed(self) -> bool:
        """A part called twice would keep two inputs; one that overwrites its input would see another the second time."""
        return self.has_parts and self.num_calls == 1 and not self.changes_its_input


@contextmanager
def recomputed(model: nn.Module, names: Sequence[str]) -> Iterator[None]:
    """Let the named modules keep their inputs only, in forward passes within the block; the backward pass may be outside.

    Args:
        model: any; it is the same as before when the block ends.
        names: of modules that do not contain one another.
    """
    modules = [model.get_submodule(name) for name in names]
    before = [module.__dict__.get("forward") for module in modules]
    for module in modules:
        module.__dict__["forward"] = partial(checkpoint, module.forward, use_reentrant=False)
    try:
        yield
    finally:
        for module, forward in zip(modules, before, strict=True):
            if forward is None:
                del module.__dict__["forward"]
            else:
                module.__dict__["forward"] = forward


def parts_to_recompute(model: nn.Module, run: Callable[[], Tensor], *, root: str = "backbone") -> tuple[str, ...]:
    """Return the names of the modules whose recomputation lowers the peak most; empty where none does.

    Args:
        model: holds the backbone.
        run: runs it in the mode and number format of training; the share that each part has in what is kept is read off it.
        root: name of the backbone.
    """
    memory, kept_bytes = measure_parts(model, run)
    return cheapest_cut(model, memory, kept_bytes, root=root)


def measure_parts(model: nn.Module, run: Callable[[], Tensor]) -> tuple[dict[str, PartMemory], int]:
    """Return what each called module of `model` keeps for the backward pass of `run`, by name, and what all keep, in bytes."""
    meter = _Meter(model)
    with meter:
        run()
    return meter.parts, meter.kept_bytes


def cheapest_cut(model: nn.Module, memory: dict[str, PartMemory], kept_bytes: int, *, root: str) -> tuple[str, ...]:
    """Return the parts to recompute with the lowest estimated peak: all that stays kept, and the largest part once more."""
    cuts = [_cut(model, memory, root, share * kept_bytes) for share in _SHARES]
    peak, _, best = min((peak_bytes(cut, memory, kept_bytes), len(cut), cut) for cut in cuts)
    return best if peak < kept_bytes else ()


def peak_bytes(names: Sequence[str], memory: dict[str, PartMemory], kept_bytes: int) -> int:
    """Return the estimated peak of what is kept where the named parts are recomputed."""
    parts = [memory[name] for name in names]
    stays = kept_bytes - sum(part.kept_bytes for part in parts) + sum(part.input_bytes for part in parts)
    return stays + max((part.kept_bytes for part in parts), default=0)


def _cut(model: nn.Module, memory: dict[str, PartMemory], name: str, largest_bytes: float) -> tuple[str, ...]:
    """Go down from `name` until a part keeps at most `largest_bytes`; what cannot be cut further is taken as it is."""
    part = memory.get(name)
    if part is not None and part.kept_bytes <= largest_bytes:
        return (name,) if part.can_be_recomputed and part.kept_bytes > part.input_bytes else ()
    children = [child for child, _ in model.get_submodule(name).named_children()]
    below = tuple(found for child in children for found in _cut(model, memory, f"{name}.{child}", largest_bytes))
    if below or part is None:
        return below
    return (name,) if part.can_be_recomputed and part.kept_bytes > part.input_bytes else ()


class _Meter:
    """Hooks that note, while it is entered, which tensors are kept for the backward pass, and under which modules."""

    def __init__(self, model: nn.Module) -> None:
        self.parts: dict[str, PartMemory] = {}
        self.kept_bytes = 0
        self._model = model
        self._open: list[tuple[PartMemory, list[tuple[Tensor, int]]]] = []
        self._seen = {_storage(tensor) for tensor in (*model.parameters(), *model.buffers())}
        self._alive: list[Tensor] = []  # a storage that was freed could come again as another
        self._undo: list[Any] = []

    def __enter__(self) -> None:
        for name, module in self._model.named_modules():
            has_parts = any(True for _ in module.children())
            self._undo.append(module.register_forward_pre_hook(partial(self._begin, name, has_parts), with_kwargs=True))
            self._undo.append(module.register_forward_hook(partial(self._end, name), always_call=True))
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._keep, lambda tensor: tensor)
        self._hooks.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._hooks.__exit__(*error)
        for handle in self._undo:
            handle.remove()
        self._alive.clear()

    def _begin(self, name: str, has_parts: bool, module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        part = self.parts.setdefault(name, PartMemory(name, has_parts=has_parts))
        tensors = [value for value in (*inputs, *named.values()) if isinstance(value, Tensor)]
        part.num_calls += 1
        part.input_bytes += sum(map(_bytes, tensors))
        self._open.append((part, [(tensor, tensor._version) for tensor in tensors]))

    def _end(self, name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if not self._open or self._open[-1][0].name != name:
            return  # an error met before it began
        part, versions = self._open.pop()
        part.changes_its_input |= any(tensor._version != version for tensor, version in versions)

    def _keep(self, tensor: Tensor) -> Tensor:
        tensor = tensor.detach()  # itself, it would hold the graph that holds it
        storage = _storage(tensor)
        if storage not in self._seen:
            self._seen.add(storage)
            self._alive.append(tensor)
            self.kept_bytes += _bytes(tensor)
            for part, _ in self._open:
                part.kept_bytes += _bytes(tensor)
        return tensor


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)  # meta and fake tensors have no address


def _bytes(tensor: Tensor) -> int:
    return int(tensor.untyped_storage().nbytes())
