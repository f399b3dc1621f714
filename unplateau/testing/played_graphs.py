"""CUDA graphs, played on the CPU: operations are recorded as they come, and done again, into the same memory, at each replay.

What Python does beside them is done once, as with real graphs.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class PlayedGraph(TorchDispatchMode):
    """Records while it is entered; has the `replay` of `torch.cuda.CUDAGraph`."""

    def __init__(self) -> None:
        super().__init__()
        self._done: list[tuple[Any, Any, Any, Any]] = []
        self.replays = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self._done.append((func, args, kwargs or {}, result))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        self.replays += 1
        for func, args, kwargs, result in self._done:
            again = func(*args, **kwargs)
            for place, value in zip(tree_leaves(result), tree_leaves(again), strict=True):
                if isinstance(place, Tensor) and place.data_ptr() != value.data_ptr():
                    place.copy_(value)


class PlayedRecorder:
    """In place of `graphed._Recorder`."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def warm_up(self, act: Callable[[], object]) -> None:
        for _ in range(3):
            act()

    def record(self, act: Callable[[], Any]) -> tuple[Any, PlayedGraph]:
        graph = PlayedGraph()
        with graph:
            result = act()
        return result, graph
