"""Gradient clipping as SOLVER.CLIP_GRADIENTS says, and the norm that is recorded with or without it."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from unplateau.config.schema_solver import ClipGradients


def clip_gradients(parameters: Iterable[nn.Parameter], settings: ClipGradients) -> Tensor:
    """Clip the gradients in place where that is enabled, and return their norm before it.

    Args:
        parameters: those without a gradient are left out.
        settings: SOLVER.CLIP_GRADIENTS. By norm: over all parameters together. By value: each element apart.

    Returns:
        0-d, of order NORM_TYPE (2 where clipping is off); not finite where a gradient is not. Does not synchronise.
    """
    with_gradient = [p for p in parameters if p.grad is not None]
    order = settings.NORM_TYPE if settings.ENABLED else 2.0
    norm = torch.nn.utils.get_total_norm([p.grad for p in with_gradient if p.grad is not None], norm_type=order)
    if settings.ENABLED and settings.CLIP_TYPE == "norm":
        torch.nn.utils.clip_grads_with_norm_(with_gradient, settings.CLIP_VALUE, norm)
    if settings.ENABLED and settings.CLIP_TYPE == "value":
        torch.nn.utils.clip_grad_value_(with_gradient, settings.CLIP_VALUE)
    return norm
