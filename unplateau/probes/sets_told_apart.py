"""Whether two sets of pictures can be told apart by how they look, without a network. Cost: a sample of each.

Two sets of one origin, as training, queries and gallery of a held-out split are, differ in people and in nothing else. Where a
linear rule on contrast, sharpness, colour and borders tells them apart, somebody prepared, cropped or compressed one of them
otherwise. A classifier two-sample test: Lopez-Paz and Oquab 2017, arXiv 1610.06545.

Shape legend: N images, C/H/W image, D features.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from unplateau.runs.record import Measurement

_FOLDS = 4
_RIDGE = 1.0  # of standardised features
_BORDER = 8  # a border is this part of height or width


@torch.no_grad()
def sets_told_apart(one_NCHW: Tensor, other_NCHW: Tensor, *, group: str) -> tuple[Measurement, ...]:
    """Fit a linear rule on parts of both sets and try it on the rest.

    Args:
        one_NCHW, other_NCHW: at least 8 images each, prepared alike.
        group: what is compared, such as "queries | gallery".

    Returns:
        sets_told_apart: probability that the rule ranks an image of the second set above one of the first, of images it was not
        fitted on; 0.5 = they cannot be told apart.
    """
    looks_ND = torch.cat([_looks(one_NCHW), _looks(other_NCHW)]).double()
    is_other_N = torch.cat([torch.zeros(len(one_NCHW)), torch.ones(len(other_NCHW))]).double()
    looks_ND = (looks_ND - looks_ND.mean(0)) / looks_ND.std(0, correction=0).clamp(min=1e-6)
    fold_N = torch.cat([torch.arange(len(images)) % _FOLDS for images in (one_NCHW, other_NCHW)])
    scores_N = torch.zeros(len(looks_ND), dtype=torch.float64)
    for fold in range(_FOLDS):
        fitted_N = fold_N != fold
        scores_N[~fitted_N] = looks_ND[~fitted_N] @ _ridge(looks_ND[fitted_N], is_other_N[fitted_N])
    value = _above(scores_N[is_other_N == 1], scores_N[is_other_N == 0])
    return (Measurement("sets_told_apart", value, "probability", group=group, note=f"{len(looks_ND)} images"),)


def _ridge(looks_ND: Tensor, is_other_N: Tensor) -> Tensor:
    """Weights of a least-squares rule; both sets count alike, however many images each has."""
    share = is_other_N.mean()
    weight_N = torch.where(is_other_N == 1, 0.5 / share.clamp(min=1e-9), 0.5 / (1 - share).clamp(min=1e-9))
    target_N = 2 * is_other_N - 1
    gram_DD = (looks_ND * weight_N[:, None]).T @ looks_ND
    size = looks_ND.shape[1]
    return torch.linalg.solve(gram_DD + _RIDGE * torch.eye(size, dtype=torch.float64), looks_ND.T @ (weight_N * target_N))


def _above(high_N: Tensor, low_N: Tensor) -> float:
    """Share of pairs in which the first is larger; ties count half."""
    larger = (high_N[:, None] > low_N[None]).double().mean()
    return float(larger + 0.5 * (high_N[:, None] == low_N[None]).double().mean())


def _looks(images_NCHW: Tensor) -> Tensor:
    """Brightness, contrast and sharpness of the whole and of its borders, and how far channels agree, (N, D)."""
    images_NCHW = images_NCHW.float()
    height, width = images_NCHW.shape[2:]
    rows, columns = max(1, height // _BORDER), max(1, width // _BORDER)
    areas = [
        images_NCHW, images_NCHW[:, :, :rows], images_NCHW[:, :, -rows:], images_NCHW[..., :columns], images_NCHW[..., -columns:],
        images_NCHW[:, :, rows:-rows, columns:-columns],
    ]  # fmt: skip
    found = [_of_area(area_NCHW) for area_NCHW in areas if area_NCHW.numel()]
    blurred_NCHW = F.avg_pool2d(images_NCHW, 3, stride=1, padding=1)
    detail_N1 = (images_NCHW - blurred_NCHW).abs().mean((1, 2, 3))[:, None].clamp(min=1e-9).log()
    grey_N1 = images_NCHW.std(1, correction=0).mean((1, 2))[:, None]
    return torch.cat([*found, detail_N1, grey_N1], dim=1)


def _of_area(area_NCHW: Tensor) -> Tensor:
    mean_NC, std_NC = area_NCHW.mean((2, 3)), area_NCHW.flatten(2).std(2, correction=0)
    steps = [area_NCHW.diff(dim=dim).abs() for dim in (2, 3) if area_NCHW.shape[dim] > 1]
    sharp = [step.mean((1, 2, 3))[:, None].clamp(min=1e-3).log() for step in steps]
    return torch.cat([mean_NC, std_NC, *sharp], dim=1)
