"""Whether the optimiser holds the model's own tensors, and whether it has ever stepped. Cost: none."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from unplateau.runs.record import Measurement


def optimizer_contents(
    optimizers: Iterable[Optimizer], parameters: Iterable[nn.Parameter], *, step: int | None = None
) -> tuple[Measurement, ...]:
    """Compare what the optimisers hold with what the model wants trained.

    Args:
        optimizers: all of them.
        parameters: the model's; those that require a gradient are looked for.
        step: of the run.

    Returns:
        optimizer_state_tensors (parameters with state: 0 before the first step that did anything), trainable_tensors (the
        model's that require a gradient), parameters_held (share of
        trained elements that are in an optimiser, by identity), foreign_tensors (held, but not the model's), highest_rate,
        highest_decay and highest_epsilon (of all groups; 0 where an optimiser has none), decay_is_decoupled (1 for AdamW).
    """
    optimizers = tuple(optimizers)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    held = {id(p) for group in groups for p in group["params"]}
    model = list(parameters)
    own = {id(p) for p in model}
    trained = [p for p in model if p.requires_grad]
    elements = sum(p.numel() for p in trained)
    states = sum(len(optimizer.state) for optimizer in optimizers)
    return (
        Measurement("optimizer_state_tensors", float(states), "tensors", step),
        Measurement("trainable_tensors", float(len(trained)), "tensors", step),
        Measurement("parameters_held", sum(p.numel() for p in trained if id(p) in held) / max(elements, 1), "share", step),
        Measurement("foreign_tensors", float(len(held - own)), "tensors", step),
        Measurement("highest_rate", _highest(groups, "lr"), "learning rate", step),
        Measurement("highest_decay", _highest(groups, "weight_decay"), "weight decay", step),
        Measurement("highest_epsilon", _highest(groups, "eps"), "", step),
        Measurement("decay_is_decoupled", float(any(_is_decoupled(o) for o in optimizers)), "", step),
    )


def _highest(groups: list[dict[str, Any]], name: str) -> float:
    return max((float(group.get(name, 0.0)) for group in groups), default=0.0)


def _is_decoupled(optimizer: Optimizer) -> bool:
    return isinstance(optimizer, torch.optim.AdamW) or any(g.get("decoupled_weight_decay") for g in optimizer.param_groups)
