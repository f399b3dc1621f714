"""The processes of one training: one, or several started by `torchrun`. Every collective call of the project is here.

Each method must be called by all ranks at the same point, or none returns.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn


@dataclass(frozen=True)
class Ranks:
    """This process's place among the processes of the run."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Return whether `flag` holds on at least one rank."""
        return any(self.gather(flag))

    def gather(self, value: Any) -> list[Any]:
        """Return the plain value of every rank, in order of rank."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def from_main(self, value: Any) -> Any:
        """Return the main rank's plain value on every rank."""
        if self.world_size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def share_buffers(self, module: nn.Module) -> None:
        """Give every rank the main rank's buffers: batch statistics are gathered on each rank's own images."""
        if self.world_size > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, src=0)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Average the gradients of parameters outside the distributed wrapper, such as a loss's own."""
        if self.world_size > 1:
            for parameter in parameters:
                if parameter.grad is not None:
                    dist.all_reduce(parameter.grad)
                    parameter.grad /= self.world_size

    def close(self) -> None:
        if self.world_size > 1 and dist.is_initialized():
            dist.destroy_process_group()


def local_rank() -> int:
    """Return this process's number among those of its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def join_ranks(device_type: str) -> Ranks:
    """Join the process group that `torchrun` describes in the environment; a single process joins nothing."""
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        return Ranks()
    ranks = Ranks(int(os.environ["RANK"]), world_size, local_rank())
    if device_type == "cuda":
        torch.cuda.set_device(ranks.local_rank)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device_type == "cuda" else "gloo")
    return ranks
