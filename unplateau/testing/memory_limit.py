"""A card of a few megabytes: torch runs out of memory, on the CPU, where the tensors alive would be more than it holds."""

import sys
from collections.abc import Iterable

import torch
from torch import Tensor

from unplateau.engine.live_memory import LiveMemory


class MemoryLimit(LiveMemory):
    """Raises torch's own error while it is entered, as a GPU would; counts how often.

    Args:
        room_bytes: what fits beside the tensors that are there before.
        already: those tensors, such as the weights.
    """

    def __init__(self, room_bytes: int, already: Iterable[Tensor] = ()) -> None:
        self.limit_bytes, self.num_failures = sys.maxsize, 0
        super().__init__(already)
        self.limit_bytes = self.live_bytes + room_bytes

    def took(self, num_bytes: int) -> None:
        """Refuse what no longer fits; the tensor that was made for it is let go with the error."""
        if self.live_bytes > self.limit_bytes:
            self.num_failures += 1
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {num_bytes} bytes.\nThe second line is long.")
