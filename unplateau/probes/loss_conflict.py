"""Whether the parts of a loss pull shared weights the same way: cosine and ratio of their gradients.

Cost: one backward pass a part. Yu et al. 2020 (PCGrad), definition 1. The values of losses say nothing about balance; their
gradients do.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor

from unplateau.runs.record import Measurement


def loss_conflict(
    parts: Mapping[str, Tensor], shared: Sequence[Tensor], *, scales: Mapping[str, float] | None = None, step: int | None = None
) -> tuple[Measurement, ...]:
    """Measure the gradients of each part at the shared parameters; `.grad` is not touched and the graph is kept.

    Args:
        parts: 0-d unweighted losses by name; those without a graph are left out.
        shared: parameters that several parts reach, such as the last block's.
        scales: weight of each part, by which its gradient is multiplied; None = 1.
        step: of the run.

    Returns:
        loss_gradient_norm for each part, and for each pair "a | b" gradient_cosine and gradient_ratio (norm of a over norm of b);
        None where a gradient is 0.
    """
    flat = {name: _gradient(part, shared) * (scales or {}).get(name, 1.0) for name, part in parts.items() if part.requires_grad}
    norms = {name: float(gradient.norm()) for name, gradient in flat.items()}
    measurements = [Measurement("loss_gradient_norm", norm, "", step, name) for name, norm in norms.items()]
    for a, b in combinations(flat, 2):
        both = norms[a] * norms[b]
        cosine = float(flat[a] @ flat[b]) / both if both > 0 else None
        ratio = norms[a] / norms[b] if both > 0 else None
        measurements.append(Measurement("gradient_cosine", cosine, "cosine", step, f"{a} | {b}"))
        measurements.append(Measurement("gradient_ratio", ratio, "ratio", step, f"{a} | {b}"))
    return tuple(measurements)


def _gradient(part: Tensor, shared: Sequence[Tensor]) -> Tensor:
    gradients = torch.autograd.grad(part, list(shared), retain_graph=True, allow_unused=True)
    pieces = [torch.zeros_like(p) if g is None else g for p, g in zip(shared, gradients, strict=True)]
    return torch.cat([piece.detach().double().flatten() for piece in pieces])
