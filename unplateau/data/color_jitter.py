"""Random brightness, contrast, saturation and hue of a batch, as torchvision's ColorJitter defines them for one image.

Every jittered image has its own four factors; the order of the four operations is drawn once for a batch, which gives each image
the same distribution as an order of its own. Used by `transforms`.

Legend: B images of a batch, J images of it that are jittered, C channels (R, G, B), H height, W width.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unplateau.config.schema import ColorJitter

_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow converts to grey
_WHITE = 255.0
_HUE_CENTER = (3.0, 2.0, 4.0)  # of R, G, B: where on the circle, in sixths, the channel is lowest (R) or highest (G, B)
_HUE_SLOPE = (1.0, -1.0, -1.0)
_HUE_OFFSET = (-1.0, 2.0, 2.0)


@dataclass(frozen=True)
class JitterRange:
    """How far colours may go: largest relative changes, and for the hue the largest shift in turns of the colour circle."""

    probability: float
    brightness: float
    contrast: float
    saturation: float
    hue: float

    @classmethod
    def from_config(cls, config: ColorJitter) -> "JitterRange | None":
        """Return the range, or None where the configuration turns jitter off."""
        amounts = config.BRIGHTNESS, config.CONTRAST, config.SATURATION, config.HUE
        return cls(config.PROB, *amounts) if config.ENABLED and config.PROB and any(amounts) else None


@dataclass(frozen=True)
class JitterDraws:
    """What chance decided.

    Attributes:
        jittered_B: bool, whether the image is jittered.
        factors_4B: float32, brightness, contrast and saturation factors (1 = unchanged), and the hue's shift (0 = unchanged).
        order: in which the four are applied.
    """

    jittered_B: Tensor
    factors_4B: Tensor
    order: tuple[int, ...]

    def part(self, piece: slice) -> "JitterDraws":
        """Return the decisions for some images of the batch."""
        return JitterDraws(self.jittered_B[piece], self.factors_4B[:, piece], self.order)


def draw_jitter(limits: JitterRange, num_images: int, generator: torch.Generator) -> JitterDraws:
    """Return the decisions for a batch of `num_images`; `generator` is on the CPU."""
    jittered_B = torch.rand(num_images, generator=generator) < limits.probability
    reach_41 = torch.tensor([limits.brightness, limits.contrast, limits.saturation, limits.hue])[:, None]
    center_41 = torch.tensor([1.0, 1.0, 1.0, 0.0])[:, None]
    lowest_41 = torch.where(center_41 > 0, (center_41 - reach_41).clamp(min=0), -reach_41)  # a factor is never negative
    share_4B = torch.rand(4, num_images, generator=generator)
    factors_4B = lowest_41 + share_4B * (center_41 + reach_41 - lowest_41)
    order = tuple(torch.randperm(4, generator=generator).tolist())
    return JitterDraws(jittered_B, factors_4B, tuple(i for i in order if reach_41[i] > 0))


def apply_jitter(pixels_BHWC: Tensor, draws: JitterDraws) -> Tensor:
    """Return a uint8 batch in which the colours of the drawn images have changed."""
    chosen_J = draws.jittered_B.nonzero()[:, 0]
    if not len(chosen_J):
        return pixels_BHWC
    images_J = chosen_J.to(pixels_BHWC.device, non_blocking=True)
    factors_4J = draws.factors_4B[:, chosen_J].to(pixels_BHWC.device, non_blocking=True)
    values_JCHW = pixels_BHWC.index_select(0, images_J).permute(0, 3, 1, 2).contiguous().float()
    for operation in draws.order:
        values_JCHW = _OPERATIONS[operation](values_JCHW, factors_4J[operation].view(-1, 1, 1, 1))
    jittered_JHWC = values_JCHW.round_().to(torch.uint8).permute(0, 2, 3, 1)
    return pixels_BHWC.index_copy(0, images_J, jittered_JHWC.contiguous())


def _change_brightness(values_JCHW: Tensor, factor_J111: Tensor) -> Tensor:
    return values_JCHW.mul_(factor_J111).clamp_(0, _WHITE)


def _change_contrast(values_JCHW: Tensor, factor_J111: Tensor) -> Tensor:
    mean_J111 = _grey(values_JCHW).mean(dim=(2, 3), keepdim=True)
    return _blend(values_JCHW, mean_J111, factor_J111)


def _change_saturation(values_JCHW: Tensor, factor_J111: Tensor) -> Tensor:
    return _blend(values_JCHW, _grey(values_JCHW), factor_J111)


def _change_hue(values_JCHW: Tensor, shift_J111: Tensor) -> Tensor:
    """Turn the hue of HSV and keep value and chroma (Smith 1978): each channel is a clipped triangle wave of the hue."""
    lowest, chroma, hue = _lowest_chroma_hue(values_JCHW)
    hue.add_(6 * shift_J111)
    hue.sub_(hue.div(6).floor_(), alpha=6)  # into [0, 6); a tenth of the time of remainder()
    wave_33 = torch.tensor((_HUE_CENTER, _HUE_SLOPE, _HUE_OFFSET)).to(hue.device, non_blocking=True)
    center, slope, offset = wave_33[..., None, None]
    return (hue - center).abs_().mul_(slope).add_(offset).clamp_(0, 1).mul_(chroma).add_(lowest)


def _lowest_chroma_hue(values_JCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return lowest channel, highest minus lowest, and the hue in sixths of the circle, each J1HW."""
    red, green, blue = values_JCHW.split(1, dim=1)
    highest = torch.maximum(torch.maximum(red, green), blue)
    lowest = torch.minimum(torch.minimum(red, green), blue)
    chroma = highest - lowest
    scale = chroma.clamp(min=1e-6).reciprocal_()  # of grey the differences below are 0 and so is the hue
    hue = (red - green).mul_(scale).add_(4)  # where blue is highest; lerp with a mask of 0 and 1 is where(), six times as fast
    hue.lerp_((blue - red).mul_(scale).add_(2), (highest == green).float())
    hue.lerp_((green - blue).mul_(scale), (highest == red).float())
    return lowest, chroma, hue


def _grey(values_JCHW: Tensor) -> Tensor:
    red, green, blue = values_JCHW.split(1, dim=1)
    return (red * _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])


def _blend(values_JCHW: Tensor, towards: Tensor, factor_J111: Tensor) -> Tensor:
    return values_JCHW.mul_(factor_J111).add_(towards * (1 - factor_J111)).clamp_(0, _WHITE)


_OPERATIONS: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    _change_brightness,
    _change_contrast,
    _change_saturation,
    _change_hue,
)
