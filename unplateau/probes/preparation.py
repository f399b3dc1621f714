"""Whether training and evaluation prepare images alike: colours of the same people's images. Cost: a sample of each, no network.

Shape legend: N images, C/H/W image.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from unplateau.runs.record import Measurement

_GRID = (8, 4)


@torch.no_grad()
def preparation(trained_NCHW: Tensor, evaluated_NCHW: Tensor) -> tuple[Measurement, ...]:
    """Compare images as training and as evaluation hand them to the network; the images may be others of the same people.

    Returns:
        preparation_mean_difference (largest over channels, in the training's standard deviations), preparation_std_ratio
        (evaluation over training, the channel where it is farthest from 1), and colour_distance and colour_distance_swapped:
        how far the second moments of the channels are apart, as they are and with the evaluation's channels in reverse order,
        relative to the training's; and preparation_layout (correlation of the two mean images on a coarse grid) and
        preparation_layout_upside_down, the same with the evaluation's turned over.
    """
    trained_CN, evaluated_CN = (images.double().transpose(0, 1).flatten(1) for images in (trained_NCHW, evaluated_NCHW))
    std_C, other_std_C = trained_CN.std(1, correction=0), evaluated_CN.std(1, correction=0)
    mean_C = (trained_CN.mean(1) - evaluated_CN.mean(1)).abs() / std_C.clamp(min=1e-30)
    ratio_C = other_std_C / std_C.clamp(min=1e-30)
    moments_CC, other_CC, swapped_CC = (_moments(rows) for rows in (trained_CN, evaluated_CN, evaluated_CN.flip(0)))
    size = moments_CC.norm().clamp(min=1e-30)
    trained_N, evaluated_N = _layout(trained_NCHW), _layout(evaluated_NCHW)
    return (
        Measurement("preparation_mean_difference", float(mean_C.max()), "standard deviations"),
        Measurement("preparation_std_ratio", float(ratio_C[ratio_C.clamp(min=1e-30).log().abs().argmax()]), "ratio"),
        Measurement("colour_distance", float((moments_CC - other_CC).norm() / size), "relative"),
        Measurement("colour_distance_swapped", float((moments_CC - swapped_CC).norm() / size), "relative"),
        Measurement("preparation_layout", _correlation(trained_N, evaluated_N), "correlation"),
        Measurement("preparation_layout_upside_down", _correlation(trained_N, evaluated_N.flip(0)), "correlation"),
    )


def _layout(images_NCHW: Tensor) -> Tensor:
    """Return contrast by height and width on a grid: where in the picture something happens, whatever its colour."""
    height, width = images_NCHW.shape[2:]
    edge = height // 16  # where padding and cropping show
    inner_NCHW = images_NCHW[:, :, edge : height - edge, edge : max(width - edge, edge + 1)]
    spread_HW = inner_NCHW.double().std(0, correction=0).mean(0)
    grid: Tensor = F.adaptive_avg_pool2d(spread_HW[None, None], _GRID)[0, 0]
    return grid


def _correlation(one_HW: Tensor, other_HW: Tensor) -> float | None:
    pair_2N = torch.stack([one_HW.flatten(), other_HW.flatten()])
    return float(torch.corrcoef(pair_2N)[0, 1]) if bool((pair_2N.std(1) > 0).all()) else None


def _moments(rows_CN: Tensor) -> Tensor:
    """Return mean of x x^T with a 1 appended to x: means and covariances in one matrix."""
    ones_1N = torch.ones_like(rows_CN[:1])
    extended_CN = torch.cat([rows_CN, ones_1N])
    return extended_CN @ extended_CN.T / extended_CN.shape[1]
