"""How much a forward pass in training mode differs from the next on the same batch: dropout, or other noise. Cost: 2 F.

Shape legend: B batch, D feature dimension.
"""

import torch
from torch import Tensor

from unplateau.runs.record import Measurement


@torch.no_grad()
def forward_noise(first_BD: Tensor, second_BD: Tensor, *, step: int | None = None) -> tuple[Measurement, ...]:
    """Compare features of one batch from two passes in training mode.

    With a share p of units dropped independently, E|a - b|^2 / |(a + b) / 2|^2 = 2 q / (1 + q / 2), where q = p / (1 - p).

    Returns:
        forward_noise (|a - b| over |a + b| / 2), dropped_share, the share of units dropped that explains it, and zeros_differ:
        the share of units that are exactly 0 in one pass alone, as dropout right before the features makes them.
    """
    first_BD, second_BD = first_BD.double(), second_BD.double()
    middle = float(((first_BD + second_BD) / 2).norm())
    square = (float((first_BD - second_BD).norm()) / max(middle, 1e-30)) ** 2
    odds = square / (2 - square / 2) if square < 4 else float("inf")
    share = odds / (1 + odds) if odds != float("inf") else 1.0
    return (
        Measurement("forward_noise", square**0.5, "relative", step),
        Measurement("dropped_share", share, "share", step),
        Measurement("zeros_differ", float(((first_BD == 0) != (second_BD == 0)).float().mean()), "share", step),
    )
