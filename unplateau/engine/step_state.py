"""What a forward pass changes beside its result: random generators and buffers, such as batch statistics. Kept and put back."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unplateau.engine.host_memory import hand_back_freed_memory


@dataclass(frozen=True)
class Randomness:
    """The state of torch's generators, the CPU's and the device's, at one moment."""

    cpu: Tensor
    device: torch.device
    on_device: Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> Randomness:
        """Return the present state."""
        on_device = None
        if device.type == "cuda":
            on_device = torch.cuda.get_rng_state(device)
        elif device.type == "mps":
            on_device = torch.mps.get_rng_state()
        return cls(torch.get_rng_state(), device, on_device)

    def put_back(self) -> None:
        """Draw from here on what was drawn after `now`."""
        torch.set_rng_state(self.cpu)
        if self.on_device is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(self.on_device, self.device)
        elif self.on_device is not None:
            torch.mps.set_rng_state(self.on_device)


class BufferCopy:
    """The buffers of modules at one moment, in memory that is used again for the next moment."""

    def __init__(self, *modules: nn.Module) -> None:
        self._modules = [weakref.ref(module) for module in modules]
        self._slots = [
            (part._buffers, name)
            for module in modules
            for part in module.modules()
            for name, buffer in part._buffers.items()
            if buffer is not None
        ]
        self._seen: list[Tensor] = []
        self._copies: list[Tensor] = []

    def is_of(self, *modules: nn.Module) -> bool:
        """Return whether it was made for these very modules."""
        return len(modules) == len(self._modules) and all(
            kept() is module for kept, module in zip(self._modules, modules, strict=True)
        )

    @torch.no_grad()
    def take(self) -> None:
        """Keep the buffers as they are now."""
        present = self.present()
        if len(present) != len(self._seen) or any(a is not b for a, b in zip(present, self._seen, strict=True)):
            self._seen, self._copies = present, [buffer.clone() for buffer in present]
            return
        _copy(self._copies, present)

    @torch.no_grad()
    def put_back(self) -> None:
        """Make the buffers what they were at the last `take`."""
        _copy(self.present(), self._copies)

    def present(self) -> list[Tensor]:
        """Return the buffers, also where a module has put another tensor in the place of one."""
        found = [buffers[name] for buffers, name in self._slots]
        return [buffer for buffer in found if buffer is not None]


def give_back_memory(device: torch.device) -> None:
    """Free what nothing holds any more, and hand unused blocks back, so that a larger one can be had. Takes a while; on the CPU
    freed memory is not kept from then on."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
    else:
        hand_back_freed_memory()


def _copy(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy tensor by tensor, in one call for each number format."""
    for dtype in {source.dtype for source in sources}:
        rows = [row for row, source in enumerate(sources) if source.dtype == dtype]
        torch._foreach_copy_([targets[row] for row in rows], [sources[row] for row in rows])  # as optim.moving_average does
