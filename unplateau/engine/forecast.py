"""How much memory a training step will take under each plan, found without taking it: the step is run on tensors without content.

Weights, gradients, optimiser state and activations are counted as they come and go (`live_memory`). Not seen: workspaces within
an operation, what the allocator keeps, the libraries and the device's own context. B batch, C/H/W image.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.optim import Optimizer

from unplateau.base.errors import UnplateauError, first_line
from unplateau.data.loader import Batch
from unplateau.engine.live_memory import LiveMemory
from unplateau.engine.memory_plan import MemoryPlan, StepMemory
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import choose_segments, train_step


class ForecastError(UnplateauError):
    """The step cannot be run on tensors without content."""


@dataclass(frozen=True)
class PlanMemory:
    """What a step takes under one plan."""

    plan: MemoryPlan
    peak_bytes: int
    """Of all tensors that are alive at once."""


def forecast_memory(parts: Parts, batch: Batch, plans: Sequence[MemoryPlan]) -> tuple[PlanMemory, ...]:
    """Return the peak of a step, from the second one on, under each plan.

    Args:
        parts: of a training, on the CPU, in the number format that counts; nothing in them changes.
        batch: images of the right number and size, on the CPU; their values do not matter.
        plans: which.

    Raises:
        ForecastError: the network looks at values, so that it cannot be run without them.
    """
    names = choose_segments(replace(parts, memory=StepMemory()), batch)
    mode = FakeTensorMode()
    try:
        return tuple(PlanMemory(plan, _peak(parts, batch, _memory(plan, names), mode)) for plan in plans)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        name = parts.config.MODEL.BACKBONE.NAME
        raise ForecastError(
            f"{name} cannot be run on tensors without content: {type(error).__name__}: {first_line(error)}"
        ) from error


def live_peak(parts: Parts, batch: Batch) -> int:
    """Return the peak of the tensors alive in one step of these parts, optimiser state included, in bytes."""
    held = [*parts.model.parameters(), *parts.model.buffers(), *parts.losses.parameters(), *parts.losses.buffers()]
    state = [value for one in parts.optimizers for values in one.state.values() for value in values.values()]
    with LiveMemory([*held, batch.images_BCHW, *(value for value in state if isinstance(value, Tensor))]) as live:
        before_update: list[tuple[int, int]] = []

        def note(optimizer: Optimizer, *_: Any) -> None:
            before_update.append((live.peak_bytes, live.live_bytes))
            live.begin_peak()

        handle = parts.optimizers[0].register_step_pre_hook(note)
        train_step(parts, batch)
        handle.remove()
    passes, live_then = before_update[0]
    state_bytes = 0 if state else live.live_bytes - live_then  # from the second step on it is there in the passes too
    return max(passes + max(0, state_bytes), live.peak_bytes)


def _memory(plan: MemoryPlan, names: tuple[str, ...]) -> StepMemory:
    memory = StepMemory(plan)
    memory.choose_segments(names)
    return memory


def _peak(parts: Parts, batch: Batch, memory: StepMemory, mode: FakeTensorMode) -> int:
    whole: tuple[nn.Module, nn.Module, tuple[Optimizer, ...]] = (parts.model, parts.losses, parts.optimizers)
    with FakeCopyMode(mode):
        model, losses, optimizers = copy.deepcopy(whole)
    images_BCHW, person_ids_B, camera_ids_B = map(mode.from_tensor, (batch.images_BCHW, batch.person_ids_B, batch.camera_ids_B))
    fake: dict[str, Any] = {"model": model, "network": model, "losses": losses, "optimizers": optimizers}
    with mode:
        model.train()
        return live_peak(replace(parts, average=None, memory=memory, **fake), Batch(images_BCHW, person_ids_B, camera_ids_B))


def blank_batch(num_images: int, images_each: int, size: tuple[int, int]) -> Batch:
    """Return a black batch of so many images, `images_each` of an identity."""
    ids_B = torch.arange(num_images)
    return Batch(torch.zeros(num_images, 3, *size), ids_B // images_each, torch.zeros_like(ids_B))
