"""Watches that the weights move: the first step of each epoch is measured, at the price of one copy of the weights."""

import torch
from torch import Tensor, nn

from unplateau.probes.weight_motion import norms_of_change


class MotionWatch:
    """Relative motion of the trained weights over the first step of an epoch, ||w_after - w_before|| / ||w_before||.

    About 1e-3 is healthy (CS231n); exactly 0 means that the optimiser does not touch the weights.
    """

    def __init__(self, model: nn.Module) -> None:
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._before: list[Tensor] | None = [parameter.detach().clone() for parameter in self._parameters]
        self._motion: Tensor | None = None
        self._gradient_norm: Tensor | None = None

    @torch.no_grad()
    def after_step(self) -> None:
        """Measure, at the first call; later calls cost nothing."""
        if not self._before:
            return
        self._motion = norms_of_change(self._before, self._parameters).relative()
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        self._gradient_norm = torch.nn.utils.get_total_norm(gradients) if gradients else None
        self._before = None

    def measurements(self) -> dict[str, float]:
        """Return `weight_motion` and `gradient_norm` (after clipping). Synchronises the GPU."""
        values = {"weight_motion": self._motion, "gradient_norm": self._gradient_norm}
        return {name: float(value) for name, value in values.items() if value is not None}
