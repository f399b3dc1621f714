"""Weights that the loss has a gradient for and no optimiser holds, wherever they live: found in the graph, not in the model.

A list that is no `ModuleList`, a loss with weights of its own, a head that was replaced after the optimiser was made: nothing
in `model.parameters()` tells of them. Cost: one forward pass.
"""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from unplateau.runs.record import Measurement


def unheld_leaves(
    total: Tensor, optimizers: Iterable[Optimizer], parameters: Iterable[nn.Parameter], *, step: int | None = None
) -> tuple[Measurement, ...]:
    """Look for weights below a loss that nobody trains.

    Args:
        total: what the training step minimises, before its backward pass.
        optimizers: all of them.
        parameters: the model's own, in an optimiser or not.
        step: of the run.

    Returns:
        unheld_leaves (share of the elements below the loss that are in no optimiser) and hidden_leaves (share of them that the
        model does not list among its parameters either).
    """
    held = {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    own = {id(p) for p in parameters}
    leaves = list(_leaves(total))
    elements = max(sum(leaf.numel() for leaf in leaves), 1)
    unheld = [leaf for leaf in leaves if id(leaf) not in held]
    hidden = [leaf for leaf in unheld if id(leaf) not in own]
    return (
        Measurement("unheld_leaves", sum(leaf.numel() for leaf in unheld) / elements, "share", step),
        Measurement("hidden_leaves", sum(leaf.numel() for leaf in hidden) / elements, "share", step),
    )


def _leaves(total: Tensor) -> Iterable[Tensor]:
    """All tensors that the backward pass would write a gradient to, once each."""
    waiting: list[Any] = [total.grad_fn]
    seen: set[Any] = {None}
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if (leaf := getattr(node, "variable", None)) is not None:
            yield leaf
        waiting += [below for below, _ in getattr(node, "next_functions", ())]
