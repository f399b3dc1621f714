"""Looking at an optimiser's update right after it, before anybody else who waits for it. Nothing is measured here."""

from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle


def right_after_update(optimizer: Optimizer, look: Callable[..., None]) -> RemovableHandle:
    """Call `look` after each update of the optimiser, ahead of the hooks that are there: these may write to the weights.

    Returns:
        The handle to remove it with.
    """
    handle: RemovableHandle = optimizer.register_step_post_hook(look)
    hooks: Any = optimizer._optimizer_step_post_hooks  # torch has no public way to be the first in line
    hooks.move_to_end(handle.id, last=False)
    return handle
