"""Whether a way to compute the training step gives the loss and the gradient of the plainest way. B batch."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.precision import all_finite
from unplateau.engine.train_step import forward_losses
from unplateau.runs.step_choice import StepTiming

_LARGEST_LOSS_DIFFERENCE = 0.05  # relative; bf16, with its 8 bits, was seen at 0.025 (benchmarks/step/choices.py)
# Cosines of the gradient with the plainest way's, backbone and head. The head's is steady (bf16 at 0.90 and more). Further down
# it is not: rounding changes the mining and grows through a deep network, with random weights to 0.26, which still trains; what a
# wrong kernel gives is about 0. The same format in another layout was seen at 0.997 and more.
_LEAST_AGREEMENTS = {"same format": (0.8, 0.98), "fewer bits": (0.1, 0.85)}
_NORM_RATIOS = (0.4, 2.5)
_FIRST_SCALE, _SCALE_HALVINGS = 2.0**16, 16  # as a gradient scaler finds its scale


@dataclass(frozen=True)
class Seen:
    """Loss and gradients, of backbone and head, of one way."""

    total: float
    gradient: Tensor
    head_gradient: Tensor
    bits: tuple[str, str]

    @property
    def is_finite(self) -> bool:
        """Whether all of it is a number. Synchronises the GPU."""
        return math.isfinite(self.total) and all_finite((self.gradient, self.head_gradient))


def look(parts: Parts, batch: Batch, bits: tuple[str, str]) -> Seen:
    """Return loss and gradient; the scale is halved until they are finite, as a gradient scaler does it."""
    scale = _FIRST_SCALE if parts.precision.scaler is not None else 1.0
    for _ in range(_SCALE_HALVINGS if parts.precision.scaler is not None else 1):
        torch.manual_seed(0)  # the same dropout in every way
        for module in (parts.model, parts.losses):
            module.zero_grad(set_to_none=True)
        total = forward_losses(parts, batch).total
        torch.autograd.backward(total * scale)
        seen = Seen(
            float(total.detach()),
            _gradient(parts.model.backbone) / scale,
            _gradient(parts.model.head) / scale,
            bits,
        )
        if seen.is_finite:
            break
        scale /= 2
    return seen


def _gradient(module: nn.Module) -> Tensor:
    gradients = [p.grad.detach().flatten().float() for p in module.parameters() if p.grad is not None]
    return torch.cat(gradients) if gradients else torch.zeros(0)


def compared(timing: StepTiming, seen: Seen, reference: Seen, *, kind: str) -> StepTiming:
    """Return the timing with what differs from the reference, and with a problem where that is too much.

    Args:
        timing: of the way that was looked at.
        seen, reference: of it, and of the plainest way.
        kind: "same format" or "fewer bits".
    """
    if not seen.is_finite:
        problem = "its loss or gradient is not finite"
        return replace(timing, loss_difference=math.inf, gradient_agreement=0.0, head_agreement=0.0, problem=problem)
    difference = abs(seen.total - reference.total) / max(abs(reference.total), 1e-6)
    agreement = _cosine(seen.gradient, reference.gradient)
    of_head = _cosine(seen.head_gradient, reference.head_gradient)
    norm_ratio = float(seen.gradient.norm() / reference.gradient.norm().clamp(min=1e-30))
    problem = ""
    if difference > _LARGEST_LOSS_DIFFERENCE:
        problem = f"its loss differs by {100 * difference:.1f} %"
    elif agreement < _LEAST_AGREEMENTS[kind][0] or of_head < _LEAST_AGREEMENTS[kind][1]:
        problem = f"its gradient points elsewhere (cosine {agreement:.2f}, the head's {of_head:.2f})"
    elif not _NORM_RATIOS[0] < norm_ratio < _NORM_RATIOS[1]:
        problem = f"its gradient is {norm_ratio:.2g} times as long"
    return replace(timing, loss_difference=difference, gradient_agreement=agreement, head_agreement=of_head, problem=problem)


def _cosine(one: Tensor, other: Tensor) -> float:
    """Return the cosine of two gradients: 1 where neither way has any, 0 where only one has."""
    if len(one) != len(other):
        return 0.0
    if not one.any() and not other.any():
        return 1.0
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))
