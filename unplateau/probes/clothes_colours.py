"""Colours of clothes in horizontal stripes: features that need no network, to ask whether labels belong to their images.

Gray and Tao 2008 (ELF) describe people so; colours are put on one scale in each camera, for cameras differ in light. Cost: none.

Shape legend: N images, C/H/W image, D feature dimension.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

_STRIPES = 8
_SMALLEST_STD = 1e-3


@torch.no_grad()
def clothes_colours(images_NCHW: Tensor, camera_ids_N: Tensor) -> Tensor:
    """Return mean and standard deviation of each channel in eight stripes of the middle half of the width, (N, D).

    Args:
        images_NCHW: upright people, in any normalisation.
        camera_ids_N: images of one camera are compared on its own scale.
    """
    width = images_NCHW.shape[3]
    middle_NCHW = images_NCHW[..., width // 4 : max(width - width // 4, width // 4 + 1)].float()
    mean_ND = F.adaptive_avg_pool2d(middle_NCHW, (_STRIPES, 1)).flatten(1)
    square_ND = F.adaptive_avg_pool2d(middle_NCHW.square(), (_STRIPES, 1)).flatten(1)
    found_ND = torch.cat([mean_ND, (square_ND - mean_ND.square()).clamp(min=0).sqrt()], dim=1)
    for camera in camera_ids_N.unique():
        rows_N = camera_ids_N == camera
        part_ND = found_ND[rows_N]
        found_ND[rows_N] = (part_ND - part_ND.mean(0)) / (part_ND.std(0, correction=0) + _SMALLEST_STD)
    return found_ND
