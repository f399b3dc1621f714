"""Layers that are frozen for good, computed in fewer bits than the layers that learn: their output is an input like the images.

Networks of depth-wise convolutions train faster in single precision on a CPU, and go forward twice as fast in bf16.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from unplateau.config.schema import Config

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class FrozenFormat:
    """A number format for some layers."""

    dtype: torch.dtype
    device_type: str
    names: tuple[str, ...]
    exits: frozenset[str]
    """Those of them whose output others than they see: it is given in single precision."""

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Let these layers of `model` be computed so within the block; it is the same as before when the block ends."""
        modules = [(name, model.get_submodule(name)) for name in self.names]
        before = [module.__dict__.get("forward") for _, module in modules]
        for name, module in modules:
            module.__dict__["forward"] = partial(self._forward, module.forward, name in self.exits)
        try:
            yield
        finally:
            for (_, module), forward in zip(modules, before, strict=True):
                if forward is None:
                    del module.__dict__["forward"]
                else:
                    module.__dict__["forward"] = forward

    def _forward(self, forward: Any, is_exit: bool, *inputs: Any, **named: Any) -> Any:
        with torch.autocast(self.device_type, dtype=self.dtype):
            output = forward(*inputs, **named)
        return output.float() if is_exit and isinstance(output, Tensor) else output


def frozen_format(model: nn.Module, config: Config, number_format: str, device: torch.device) -> FrozenFormat | None:
    """Return how the layers of `MODEL.FREEZE_LAYERS` are computed in this format; None where it is "".

    Args:
        model: on the device; run once on a black image, and left as it is.
        config: the whole configuration.
        number_format: bf16, fp16, or "" for that of the other layers.
        device: where.
    """
    if not number_format:
        return None
    names = tuple(dict.fromkeys(config.MODEL.FREEZE_LAYERS))
    names = tuple(name for name in names if not any(name.startswith(f"{other}.") for other in names))
    images_BCHW = torch.zeros(2, 3, *config.INPUT.SIZE_TRAIN, device=device)
    return FrozenFormat(_DTYPES[number_format], device.type, names, frozenset(_exits(model, names, images_BCHW)))


def _exits(model: nn.Module, names: Sequence[str], images_BCHW: Tensor) -> list[str]:
    """Return those of the named layers whose output is not seen by others of them alone."""
    outputs: list[tuple[str, Tensor]] = []
    inside: set[str] = set()
    outside: set[str] = set()

    def before(reader: str, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        for name, output in outputs:
            if any(value is output for value in inputs):
                (inside if reader in names else outside).add(name)

    def after(name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, Tensor):
            outputs.append((name, output))

    readers = [
        (name, module)
        for name, module in model.named_modules()
        if not any(
            name.startswith(f"{frozen}.") or frozen.startswith(f"{name}.") for frozen in names
        )  # parts, and what holds one
    ]
    handles = [module.register_forward_pre_hook(partial(before, name)) for name, module in readers]
    handles += [model.get_submodule(name).register_forward_hook(partial(after, name)) for name in names]
    modes = [(module, module.training) for module in model.modules()]
    try:
        with torch.no_grad():
            model.eval()(images_BCHW)
    finally:
        for module, mode in modes:
            module.training = mode
        for handle in handles:
            handle.remove()
    return [name for name in names if name in outside or name not in inside]
