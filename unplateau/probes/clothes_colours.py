"""Colours of clothes in horizontal stripes: features that need no network, to ask whether labels belong to their images.

Gray and Tao 2008 (ELF) describe people so; colours are put on one scale in each camera, for cameras differ in light. Cost: none.

Shape legend: N images, C/H/W image, D feature dimension.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from unplateau.runs.record import Measurement

_STRIPES = 8
_SMALLEST_STD = 1e-3
_PARTS = (0.7, 0.55)  # random crops of padded images show about 0.85
_CLOSER, _CLOSE = 0.7, 0.5  # of the straight distance; of that of two images
_MOST_PAIRS = 2000


@torch.no_grad()
def clothes_colours(images_NCHW: Tensor, camera_ids_N: Tensor) -> Tensor:
    """Return mean and standard deviation of each channel in eight stripes of the middle half of the width, (N, D).

    Args:
        images_NCHW: upright people, in any normalisation.
        camera_ids_N: images of one camera are compared on its own scale.
    """
    found_ND = _stripes(images_NCHW)
    return _on_scale(found_ND, camera_ids_N, found_ND, camera_ids_N)


@torch.no_grad()
def found_again(images_NCHW: Tensor, cameras_N: Tensor, plain_MCHW: Tensor, plain_cameras_M: Tensor) -> tuple[Measurement, ...]:
    """Measure whether augmented images can be found among plain images of the same people, whatever the labels say.

    Args:
        images_NCHW, cameras_N: as training hands them to the network.
        plain_MCHW, plain_cameras_M: as evaluation prepares them.

    Returns:
        looks_found_again: median distance of an augmented image to the nearest plain one over the median distance of two plain
        ones; far below 1 where looks survive, 1 and more where augmentation has changed them beyond what tells people apart.
        Under other groups the same with the augmented images changed first: "channels reversed", "upside down", and "the middle,
        0.7", that part of height and width.
    """
    changed = {"": images_NCHW, "channels reversed": images_NCHW.flip(1), "upside down": images_NCHW.flip(2)}
    changed |= {f"the middle, {part:g}": _middle(images_NCHW, part) for part in _PARTS}
    found = {group: _nearest(seen_NCHW, cameras_N, plain_MCHW, plain_cameras_M) for group, seen_NCHW in changed.items()}
    return tuple(Measurement("looks_found_again", value, "ratio", group=group) for group, value in found.items())


@torch.no_grad()
def pairs_fit_changed(plain_NCHW: Tensor, labels_N: Tensor) -> tuple[Measurement, ...]:
    """Measure whether some files are of another kind than others: in BGR, negatives, or upside down.

    Args:
        plain_NCHW: as evaluation prepares them, in any normalisation that is about the same for all channels.
        labels_N: their labels.

    Returns:
        pairs_fit_changed: share of the pairs of one label whose colours are alike, and clearly more so, once one of the two is
        changed; 0 for healthy files, a tenth to a half where half of the files are changed so. One group for each change.
    """
    first_P, second_P = _pairs(labels_N)
    if len(first_P) == 0:
        return ()
    images_NCHW = plain_NCHW.float()
    mean_C11 = images_NCHW.mean((0, 2, 3), keepdim=True)[0]
    straight_ND = _means(images_NCHW)
    typical = torch.cdist(straight_ND, straight_ND).flatten().median()
    apart_P = (straight_ND[first_P] - straight_ND[second_P]).norm(dim=1)
    changed = {
        "channels reversed": images_NCHW.flip(1),
        "negative": 2 * mean_C11 - images_NCHW,
        "upside down": images_NCHW.flip(2),
    }
    found = []
    for group, other_NCHW in changed.items():
        again_P = (_means(other_NCHW)[first_P] - straight_ND[second_P]).norm(dim=1)
        fits_P = (again_P < _CLOSER * apart_P) & (again_P < _CLOSE * typical)
        found.append(Measurement("pairs_fit_changed", float(fits_P.float().mean()), "share", group=group))
    return tuple(found)


def _pairs(labels_N: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows of two images of one label, at most so many that time does not count."""
    first_P, second_P = torch.triu(labels_N[:, None] == labels_N, diagonal=1).nonzero(as_tuple=True)
    kept_P = torch.linspace(0, max(len(first_P) - 1, 0), min(len(first_P), _MOST_PAIRS)).long()
    return first_P[kept_P], second_P[kept_P]


def _means(images_NCHW: Tensor) -> Tensor:
    return _stripes(images_NCHW)[:, : _STRIPES * images_NCHW.shape[1]]


def _nearest(seen_NCHW: Tensor, cameras_N: Tensor, plain_MCHW: Tensor, plain_cameras_M: Tensor) -> float | None:
    plain_MD = _stripes(plain_MCHW)
    reference_MD = _on_scale(plain_MD, plain_cameras_M, plain_MD, plain_cameras_M)
    seen_ND = _on_scale(_stripes(seen_NCHW), cameras_N, plain_MD, plain_cameras_M)
    typical = float(torch.cdist(reference_MD, reference_MD).flatten().median())
    nearest = float(torch.cdist(seen_ND, reference_MD).min(1).values.median())
    return nearest / typical if typical > 0 else None


def _middle(images_NCHW: Tensor, part: float) -> Tensor:
    height, width = images_NCHW.shape[2:]
    top, left = round(height * (1 - part) / 2), round(width * (1 - part) / 2)
    return images_NCHW[:, :, top : height - top, left : width - left]


def _stripes(images_NCHW: Tensor) -> Tensor:
    width = images_NCHW.shape[3]
    middle_NCHW = images_NCHW[..., width // 4 : max(width - width // 4, width // 4 + 1)].float()
    mean_ND = F.adaptive_avg_pool2d(middle_NCHW, (_STRIPES, 1)).flatten(1)
    square_ND = F.adaptive_avg_pool2d(middle_NCHW.square(), (_STRIPES, 1)).flatten(1)
    return torch.cat([mean_ND, (square_ND - mean_ND.square()).clamp(min=0).sqrt()], dim=1)


def _on_scale(values_ND: Tensor, cameras_N: Tensor, like_MD: Tensor, like_cameras_M: Tensor) -> Tensor:
    """Put images of each camera on that camera's scale among the others; of all together for a camera they do not have."""
    found_ND = values_ND.clone()
    for camera in cameras_N.unique():
        rows_N, same_M = cameras_N == camera, like_cameras_M == camera
        part_MD = like_MD[same_M] if bool(same_M.any()) else like_MD
        found_ND[rows_N] = (values_ND[rows_N] - part_MD.mean(0)) / (part_MD.std(0, correction=0) + _SMALLEST_STD)
    return found_ND
