"""Gradient noise scale: the batch size beyond which larger batches stop helping. Cost: one B a batch, 8 to 16 B.

McCandlish et al. 2018, appendix A.1: unbiased |G|^2 and tr(S) from gradients of small batches and of their mean. It takes
losses that add over images: right for cross-entropy, not for batch-hard triplets. Count PK groups instead of images where
identities come in K.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from unplateau.runs.record import Measurement


def noise_scale(
    gradients: Iterable[Sequence[Tensor]], *, batch_size: int, unit: str = "images", step: int | None = None
) -> tuple[Measurement, ...]:
    """Measure from the gradients of independent batches at the same weights; at most two sets of gradients are held.

    Args:
        gradients: one sequence of tensors a batch, of mean losses; at least two batches.
        batch_size: examples a batch, in `unit`.
        unit: "images" or "PK groups".
        step: of the run.

    Returns:
        gradient_square (unbiased |G|^2; may be negative by chance), gradient_variance (trace of the covariance for one example)
        and noise_scale, their ratio in `unit`; None where |G|^2 is not above 0.
    """
    count, mean_square, total = 0, 0.0, None
    for pieces in gradients:
        flat = torch.cat([piece.detach().double().flatten() for piece in pieces])
        mean_square += float(flat @ flat)
        total = flat if total is None else total.add_(flat)
        count += 1
    assert total is not None and count >= 2, "the noise scale needs at least two batches"
    small, large = batch_size, batch_size * count
    small_square, large_square = mean_square / count, float(total @ total) / count**2
    square = (large * large_square - small * small_square) / (large - small)
    variance = (small_square - large_square) / (1 / small - 1 / large)
    note = "" if square > 0 else "the mean gradient cannot be told from 0 with so few batches"
    return (
        Measurement("gradient_square", square, "", step),
        Measurement("gradient_variance", variance, f"for one of {unit}", step),
        Measurement("noise_scale", variance / square if square > 0 else None, unit, step, note=note),
    )
