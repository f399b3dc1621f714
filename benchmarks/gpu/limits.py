"""What a device reaches in the plainest tasks, and the time that the operations of a step would take at that."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from unplateau.engine.step_choice import wait
from unplateau.runs.step_choice import StepWay


@dataclass(frozen=True)
class Limits:
    """What the device reaches in the plainest tasks, in the number format of the step."""

    operations_a_second: float
    bytes_a_second: float


class Work(TorchDispatchMode):
    """Adds up, over all operations met, the time each would take at the device's limits."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits, self.seconds, self.num_bytes = limits, 0.0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        counted = FlopCounterMode(display=False)
        with counted:
            result = func(*args, **(kwargs or {}))
        if func.is_view:
            return result
        tensors = [leaf for leaf in tree_leaves((args, kwargs or {}, result)) if isinstance(leaf, Tensor)]
        num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        self.num_bytes += num_bytes
        operations = counted.get_total_flops() / self._limits.operations_a_second
        self.seconds += max(operations, num_bytes / self._limits.bytes_a_second)
        return result


def seconds_of(what: Callable[[], object], device: torch.device, *, times: int) -> float:
    """Return the fastest of so many calls."""
    what()
    fastest = float("inf")
    for _ in range(times):
        wait(device)
        started = time.perf_counter()
        what()
        wait(device)
        fastest = min(fastest, time.perf_counter() - started)
    return fastest


def limits_of(device: torch.device, way: StepWay) -> Limits:
    """Return what this device reaches in a large matrix product and a large copy."""
    side, copied = (8192, 1 << 28) if device.type == "cuda" else (1024, 1 << 24)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[way.number_format]
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    target, source = (torch.empty(copied, device=device) for _ in range(2))
    product = seconds_of(lambda: one @ other, device, times=10)
    copy = seconds_of(lambda: target.copy_(source), device, times=10)
    return Limits(2 * side**3 / product, 2 * copied * source.element_size() / copy)
