"""Whether the network uses its images: the loss trained on them beside the loss trained on blank ones. Cost: 2 x num_steps B.

Karpathy, A Recipe for Training Neural Networks, "input-independent baseline".

Shape legend: B batch, C/H/W image.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from math import isfinite, nan
from statistics import fmean, pstdev

import torch
from torch import Tensor

from unplateau.runs.record import Measurement


def blank_input(
    step: Callable[[Tensor, Tensor], float], batches: Sequence[tuple[Tensor, Tensor]],
    untouched: Callable[[], AbstractContextManager[None]], *, unit: str = "nats",
) -> tuple[Measurement, ...]:  # fmt: skip
    """Train on `batches` twice from the same state, once as they are and once with every image zero.

    Args:
        step: (images_BCHW, person_ids_B) -> loss before one training step on them.
        batches: at least 2; one step each. Zero is the mean colour after normalisation.
        untouched: opens a block that restores everything a step changes.
        unit: of the loss.

    Returns:
        loss_on_images and loss_on_blanks (means over the second half of the steps), loss_on_images_noise (standard deviation
        there).
    """
    with untouched():
        seen = [step(images, ids) for images, ids in batches]
    with untouched():
        blank = [step(torch.zeros_like(images), ids) for images, ids in batches]
    half = len(batches) // 2
    noise = pstdev(seen[half:]) if all(map(isfinite, seen[half:])) else nan  # a training that has gone wrong may have no loss
    return (
        Measurement("loss_on_images", fmean(seen[half:]), unit, len(batches)),
        Measurement("loss_on_blanks", fmean(blank[half:]), unit, len(batches)),
        Measurement("loss_on_images_noise", noise, unit, len(batches)),
    )
