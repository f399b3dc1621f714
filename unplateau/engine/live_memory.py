"""How many bytes of tensors are alive, and were at most, while torch computes: counted operation by operation, on any device.

What an operation needs inside, such as the workspace of a convolution, is not seen; nor is what an allocator keeps for later.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveMemory(TorchDispatchMode):
    """Counts while it is entered; every storage once, whatever views there are of it.

    Attributes:
        live_bytes: of tensors that were handed over or made while it was entered, and still are.
        peak_bytes: the most there were since it was made, or since `begin_peak`.
    """

    def __init__(self, already: Iterable[Tensor] = ()) -> None:
        """`already` are tensors that were there before, such as the weights."""
        super().__init__()
        self.live_bytes = self.peak_bytes = 0
        self._known: dict[int, weakref.ref[Any]] = {}
        for tensor in already:
            self._take_in(tensor)

    def begin_peak(self) -> None:
        """Look for the peak from now on."""
        self.peak_bytes = self.live_bytes

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.layout == torch.strided:
                self._take_in(leaf)
        return result

    def took(self, num_bytes: int) -> None:
        """Called when so many bytes were taken; a place for those who set a limit."""

    def _take_in(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, num_bytes = int(storage._cdata), int(storage.nbytes())
        known = self._known.get(key)
        if known is not None and known() is storage:
            return
        self._known[key] = weakref.ref(storage, self._forgets(key, num_bytes))
        self.live_bytes += num_bytes
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        self.took(num_bytes)

    def _forgets(self, key: int, num_bytes: int) -> Callable[[Any], None]:
        def forget(reference: Any) -> None:
            self.live_bytes -= num_bytes
            if self._known.get(key) is reference:
                del self._known[key]

        return forget
