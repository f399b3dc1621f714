"""Whether training and evaluation prepare images alike: colours of the same people's images. Cost: a sample of each, no network.

Shape legend: N images, C/H/W image.
"""

import torch
from torch import Tensor

from unplateau.runs.record import Measurement


@torch.no_grad()
def preparation(trained_NCHW: Tensor, evaluated_NCHW: Tensor) -> tuple[Measurement, ...]:
    """Compare images as training and as evaluation hand them to the network; the images may be others of the same people.

    Returns:
        preparation_mean_difference (largest over channels, in the training's standard deviations), preparation_std_ratio
        (evaluation over training, the channel where it is farthest from 1), and colour_distance and colour_distance_swapped:
        how far the second moments of the channels are apart, as they are and with the evaluation's channels in reverse order,
        relative to the training's.
    """
    trained_CN, evaluated_CN = (images.double().transpose(0, 1).flatten(1) for images in (trained_NCHW, evaluated_NCHW))
    std_C, other_std_C = trained_CN.std(1, correction=0), evaluated_CN.std(1, correction=0)
    mean_C = (trained_CN.mean(1) - evaluated_CN.mean(1)).abs() / std_C.clamp(min=1e-30)
    ratio_C = other_std_C / std_C.clamp(min=1e-30)
    moments_CC, other_CC, swapped_CC = (_moments(rows) for rows in (trained_CN, evaluated_CN, evaluated_CN.flip(0)))
    size = moments_CC.norm().clamp(min=1e-30)
    return (
        Measurement("preparation_mean_difference", float(mean_C.max()), "standard deviations"),
        Measurement("preparation_std_ratio", float(ratio_C[ratio_C.clamp(min=1e-30).log().abs().argmax()]), "ratio"),
        Measurement("colour_distance", float((moments_CC - other_CC).norm() / size), "relative"),
        Measurement("colour_distance_swapped", float((moments_CC - swapped_CC).norm() / size), "relative"),
    )


def _moments(rows_CN: Tensor) -> Tensor:
    """Return mean of x x^T with a 1 appended to x: means and covariances in one matrix."""
    ones_1N = torch.ones_like(rows_CN[:1])
    extended_CN = torch.cat([rows_CN, ones_1N])
    return extended_CN @ extended_CN.T / extended_CN.shape[1]
