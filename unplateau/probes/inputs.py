"""What images look like when they reach the network: channel statistics, blank and duplicate images. Cost: a sample of batches.

Duplicates by difference hash (Krawetz 2013): signs of horizontal differences of an 8 x 9 thumbnail.

Shape legend: B batch, C/H/W image.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from unplateau.runs.record import Measurement

_NOISE = 0.3  # correlation; photographs have 0.9
_BLANK_RANGE = 1e-3  # rounding; one grey level of 255 is above 0.01 after normalisation


@torch.no_grad()
def inputs(images_BCHW: Tensor) -> tuple[Measurement, ...]:
    """Measure normalised images.

    Returns:
        channel_mean and channel_std for each channel ("channel c"), input_mean (largest channel mean, absolute), input_std
        (median over channels), inputs_finite (share of elements), blank_images (share of images of one colour),
        duplicate_images (share whose hash another has; blank ones left out), num_images, pixel_correlation (of neighbours),
        noise_images (share of images, none of them blank, whose neighbouring pixels say nothing of each other).
    """
    images_BCHW = images_BCHW.float()
    channels_CN = images_BCHW.transpose(0, 1).flatten(1)
    means, stds = channels_CN.mean(1).tolist(), channels_CN.std(1, correction=0).tolist()
    blank_B = _are_blank(images_BCHW)
    measurements = [
        Measurement("input_mean", max(abs(mean) for mean in means), "standard deviations"),
        Measurement("input_std", sorted(stds)[len(stds) // 2], "standard deviations"),
        Measurement("inputs_finite", float(torch.isfinite(images_BCHW).float().mean()), "share"),
        blank_images(images_BCHW),
        Measurement("duplicate_images", _duplicates(images_BCHW[~blank_B]) / len(images_BCHW), "share"),
        Measurement("num_images", float(len(images_BCHW)), "images"),
        Measurement("pixel_correlation", _neighbours(images_BCHW), "correlation"),
        noise_images(images_BCHW),
    ]
    for channel, (mean, std) in enumerate(zip(means, stds, strict=True)):
        measurements.append(Measurement("channel_mean", mean, "standard deviations", group=f"channel {channel}"))
        measurements.append(Measurement("channel_std", std, "standard deviations", group=f"channel {channel}"))
    return tuple(measurements)


@torch.no_grad()
def noise_images(images_BCHW: Tensor) -> Measurement:
    """Return noise_images: the share of images, none of them blank, whose neighbouring pixels say nothing of each other."""
    images_BCHW = images_BCHW.float()
    return Measurement("noise_images", _without_structure(images_BCHW[~_are_blank(images_BCHW)]) / len(images_BCHW), "share")


def blank_images(images_BCHW: Tensor) -> Measurement:
    """Return blank_images: the share of images of one colour."""
    return Measurement("blank_images", float(_are_blank(images_BCHW.float()).float().mean()), "share")


def _are_blank(images_BCHW: Tensor) -> Tensor:
    return (images_BCHW.amax((2, 3)) - images_BCHW.amin((2, 3)) < _BLANK_RANGE).all(1)


def _neighbours(images_BCHW: Tensor) -> float | None:
    """How far a pixel tells the one below it: pictures are smooth in any normalisation, noise is not."""
    upper, lower = images_BCHW[:, :, :-1].flatten(), images_BCHW[:, :, 1:].flatten()
    pair_2N = torch.stack([upper, lower])
    return float(torch.corrcoef(pair_2N)[0, 1]) if bool((pair_2N.std(1) > 0).all()) else None


def _without_structure(images_BCHW: Tensor) -> int:
    """Count images whose neighbouring pixels say nothing of each other, down or across."""
    down, across = (
        _correlation(one.flatten(1), other.flatten(1))
        for one, other in (
            (images_BCHW[:, :, :-1], images_BCHW[:, :, 1:]),
            (images_BCHW[..., :-1], images_BCHW[..., 1:]),
        )
    )
    return int(((down < _NOISE) & (across < _NOISE)).sum())


def _correlation(one_BN: Tensor, other_BN: Tensor) -> Tensor:
    one_BN, other_BN = (values - values.mean(1, keepdim=True) for values in (one_BN, other_BN))
    return F.cosine_similarity(one_BN, other_BN, dim=1)


def difference_hash(images_BCHW: Tensor) -> Tensor:
    """Return 64 bits an image, bool (B, 64)."""
    thumbnails_BHW = F.interpolate(images_BCHW.mean(1, keepdim=True), size=(8, 9), mode="area")[:, 0]
    return (thumbnails_BHW[:, :, 1:] > thumbnails_BHW[:, :, :-1]).flatten(1)


def _duplicates(images_BCHW: Tensor) -> int:
    if not len(images_BCHW):
        return 0
    _, counts = difference_hash(images_BCHW).unique(dim=0, return_counts=True)
    return int(counts[counts > 1].sum())
