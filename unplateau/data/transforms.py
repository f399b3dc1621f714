"""Augmentation and normalisation of whole batches, on the device that trains: from uint8 pixels to what the network sees.

In the published order (He et al. 2020, fast-reid; Luo et al. 2019, bag of tricks): flip, pad and crop, colour jitter, random
erasing, normalise. Each image has its own draws, from a CPU generator, so that a run draws the same on every device. Colour
arithmetic is in `color_jitter`; decoding and resizing are in `decode`.

Legend: B images of a batch, C channels (R, G, B), H height, W width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from unplateau.config.schema import Config
from unplateau.data.color_jitter import JitterDraws, JitterRange, apply_jitter, draw_jitter

_NUM_CHANNELS = 3
_ERASED_AREA = (0.02, 0.4)  # shares of the image: Zhong et al. 2017, table 1 and the published code
_ERASED_RATIO = (0.3, 1 / 0.3)  # height over width, uniform, as in the published code
_PIECE_VALUES = 2**19  # pixel values worked on at once on a CPU; measured, flat between 2**18 and 2**20
_ERASING_ATTEMPTS = 10  # a rectangle misses the image in 5 % of the attempts at 2:1, so all ten miss in 1 of 10^13


@dataclass(frozen=True)
class Draws:
    """What chance decided for a batch. All tensors are on the CPU.

    Attributes:
        flipped_B: bool, whether the image is mirrored.
        shift_B2: int64, row and column where the crop begins in the padded (and mirrored) image.
        erased_B4: int64, first row, end row, first column, end column of the erased rectangle; empty where none.
        jitter: whose colours change, and how.
    """

    flipped_B: Tensor
    shift_B2: Tensor
    erased_B4: Tensor
    jitter: JitterDraws | None = None

    def part(self, piece: slice) -> "Draws":
        """Return the decisions for some images of the batch."""
        jitter = self.jitter.part(piece) if self.jitter else None
        return Draws(self.flipped_B[piece], self.shift_B2[piece], self.erased_B4[piece], jitter)


@dataclass(frozen=True)
class Augmentation:
    """What is done to images before the network sees them.

    Attributes:
        mean: of the channels, on the 0-255 scale.
        std: of the channels, on the 0-255 scale.
        flip_probability: of mirroring; 0 = never.
        padding: black pixels added on each side before the crop back to size.
        jitter: how far colours may go; None = not at all.
        erase_probability: of erasing a rectangle; 0 = never.
        erase_color: R, G, B of that rectangle, on the 0-255 scale.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    flip_probability: float = 0.0
    padding: int = 0
    jitter: JitterRange | None = None
    erase_probability: float = 0.0
    erase_color: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @classmethod
    def from_config(cls, config: Config) -> "Augmentation":
        """Return what `INPUT` asks for in training."""
        flip, padding, erasing = config.INPUT.FLIP, config.INPUT.PADDING, config.INPUT.REA
        return cls(
            mean=config.MODEL.PIXEL_MEAN,
            std=config.MODEL.PIXEL_STD,
            flip_probability=flip.PROB if flip.ENABLED else 0.0,
            padding=padding.SIZE if padding.ENABLED else 0,
            jitter=JitterRange.from_config(config.INPUT.CJ),
            erase_probability=erasing.PROB if erasing.ENABLED else 0.0,
            erase_color=erasing.VALUE,
        )

    @classmethod
    def for_evaluation(cls, config: Config) -> "Augmentation":
        """Return normalisation alone."""
        return cls(mean=config.MODEL.PIXEL_MEAN, std=config.MODEL.PIXEL_STD)

    @property
    def is_identity(self) -> bool:
        """Whether nothing random happens, so that images are only normalised."""
        return not (self.flip_probability or self.padding or self.jitter or self.erase_probability)

    def draw(self, shape_BHW: tuple[int, int, int], generator: torch.Generator) -> Draws:
        """Return the decisions for a batch.

        Args:
            shape_BHW: number, height and width of the images.
            generator: on the CPU.
        """
        num_images, height, width = shape_BHW
        flipped_B = torch.rand(num_images, generator=generator) < self.flip_probability
        shift_B2 = torch.randint(0, 2 * self.padding + 1, (num_images, 2), generator=generator)
        jitter = draw_jitter(self.jitter, num_images, generator) if self.jitter else None
        erased_B4 = _draw_rectangles(num_images, (height, width), self.erase_probability, generator)
        return Draws(flipped_B, shift_B2, erased_B4, jitter)

    def apply(self, images_BCHW: Tensor, draws: Draws | None = None, *, channels_last: bool = False) -> Tensor:
        """Carry out the decisions and normalise.

        Args:
            images_BCHW: uint8, on the training device; fastest where the channels lie together in memory (channels_last).
            draws: of `draw`, for this many images of this size; None = normalise only.
            channels_last: memory layout of the result.

        Returns:
            images_BCHW, float32, on the same device.
        """
        pixels_BHWC = images_BCHW.permute(0, 2, 3, 1).contiguous()
        layout = torch.channels_last if channels_last else torch.contiguous_format
        values_BCHW = torch.empty(images_BCHW.shape, dtype=torch.float32, device=images_BCHW.device, memory_format=layout)
        colors = _Colors.of(self, values_BCHW, channels_last)
        for piece in _pieces(pixels_BHWC):
            self._apply_piece(pixels_BHWC[piece], draws.part(piece) if draws else None, colors, values_BCHW[piece])
        return values_BCHW

    def _apply_piece(self, pixels_BHWC: Tensor, draws: Draws | None, colors: "_Colors", out_BCHW: Tensor) -> None:
        """Write the augmented and normalised images into `out_BCHW`."""
        if draws is not None and (self.flip_probability or self.padding):
            pixels_BHWC = _mirror_and_crop(pixels_BHWC, draws, self.padding)
        if draws is not None and draws.jitter is not None:
            pixels_BHWC = apply_jitter(pixels_BHWC, draws.jitter)
        values = _rows(out_BCHW) if colors.in_rows else out_BCHW
        values.copy_(pixels_BHWC.view(values.shape) if colors.in_rows else pixels_BHWC.permute(0, 3, 1, 2).contiguous())
        values.sub_(colors.mean).mul_(colors.inverse_std)
        if draws is not None and self.erase_probability:
            values.lerp_(colors.erased, _erased_mask(draws.erased_B4, values, colors.in_rows))


@dataclass(frozen=True)
class _Colors:
    """Constants of the channels, shaped to be applied to whole rows of width x channels, or to planes."""

    mean: Tensor
    inverse_std: Tensor
    erased: Tensor
    in_rows: bool

    @classmethod
    def of(cls, augmentation: Augmentation, like_BCHW: Tensor, in_rows: bool) -> "_Colors":
        def shaped(color_C: Tensor) -> Tensor:
            color = color_C.repeat(like_BCHW.shape[3]) if in_rows else color_C[:, None, None]
            return color.to(like_BCHW.device, non_blocking=True)

        mean_C, inverse_std_C = torch.tensor(augmentation.mean), 1 / torch.tensor(augmentation.std)
        erased_C = (torch.tensor(augmentation.erase_color) - mean_C) * inverse_std_C
        return cls(shaped(mean_C), shaped(inverse_std_C), shaped(erased_C), in_rows)


def _pieces(pixels_BHWC: Tensor) -> list[slice]:
    """On a CPU a few images at a time: their memory is reused, and fresh memory costs several times the arithmetic."""
    num_images = len(pixels_BHWC)
    if pixels_BHWC.device.type != "cpu":
        return [slice(0, num_images)]
    step = max(1, _PIECE_VALUES // max(1, pixels_BHWC[:1].numel()))
    return [slice(start, start + step) for start in range(0, num_images, step)]


def _rows(values_BCHW: Tensor) -> Tensor:
    """View channels_last memory as rows of width x channels."""
    return values_BCHW.permute(0, 2, 3, 1).flatten(2)


def _draw_rectangles(num_images: int, size_HW: tuple[int, int], probability: float, generator: torch.Generator) -> Tensor:
    """Draw rectangles as Zhong et al. 2017 (algorithm 1) do: area and aspect until one fits, then where it lies."""
    if not probability:
        return torch.zeros(num_images, 4, dtype=torch.int64)
    height, width = size_HW
    wanted_B = torch.rand(num_images, generator=generator) < probability
    area_BA = _uniform(_ERASED_AREA, (num_images, _ERASING_ATTEMPTS), generator) * height * width
    ratio_BA = _uniform(_ERASED_RATIO, (num_images, _ERASING_ATTEMPTS), generator)
    sizes_BA2 = torch.stack([(area_BA * ratio_BA).sqrt(), (area_BA / ratio_BA).sqrt()], dim=2).round().long()
    fits_BA = (sizes_BA2 < torch.tensor([height, width])).all(dim=2)
    first_B = fits_BA.int().argmax(dim=1)
    sizes_B2 = sizes_BA2[torch.arange(num_images), first_B] * (wanted_B & fits_BA.any(dim=1))[:, None]
    room_B2 = torch.tensor([height, width]) - sizes_B2 + 1
    start_B2 = (torch.rand(num_images, 2, generator=generator) * room_B2).long()
    end_B2 = start_B2 + sizes_B2
    return torch.stack([start_B2[:, 0], end_B2[:, 0], start_B2[:, 1], end_B2[:, 1]], dim=1)


def _uniform(limits: tuple[float, float], shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator) * (limits[1] - limits[0]) + limits[0]


def _erased_mask(erased_B4: Tensor, values: Tensor, channels_last: bool) -> Tensor:
    """Return 1 inside the rectangles and 0 elsewhere, in the shape of `values` (planes share one mask)."""
    device = values.device
    top, bottom, left, right = erased_B4.to(device, non_blocking=True).unbind(dim=1)
    per_pixel = _NUM_CHANNELS if channels_last else 1
    row_H = torch.arange(values.shape[-2], device=device)
    column_W = torch.arange(values.shape[-1], device=device)
    inside_rows_BH = ((row_H >= top[:, None]) & (row_H < bottom[:, None])).float()
    inside_columns_BW = ((column_W >= per_pixel * left[:, None]) & (column_W < per_pixel * right[:, None])).float()
    mask = inside_rows_BH[:, :, None] * inside_columns_BW[:, None, :]
    return mask if channels_last else mask[:, None]


def _mirror_and_crop(pixels_BHWC: Tensor, draws: Draws, padding: int) -> Tensor:
    if pixels_BHWC.device.type == "cpu":
        return _mirror_and_crop_rows(pixels_BHWC, draws, padding)
    return _mirror_and_crop_pixels(pixels_BHWC, draws, padding)


def _mirror_and_crop_rows(pixels_BHWC: Tensor, draws: Draws, padding: int) -> Tensor:
    """Copy whole rows out of a padded batch that holds every image and its mirror image (ten times as fast on a CPU)."""
    num_images, height, width, channels = pixels_BHWC.shape
    padded_height, padded_width = height + 2 * padding, width + 2 * padding
    padded = pixels_BHWC.new_zeros(2 * num_images, padded_height, padded_width, channels)
    inside = slice(padding, padding + height), slice(padding, padding + width)
    padded[:num_images, *inside] = pixels_BHWC
    padded[num_images:, *inside] = pixels_BHWC.permute(0, 3, 1, 2).flip(3).permute(0, 2, 3, 1)
    source_B = torch.arange(num_images) + num_images * draws.flipped_B
    first_row_B = source_B * padded_height + draws.shift_B2[:, 0]
    pixel_BH = (first_row_B[:, None] + torch.arange(height)) * padded_width + draws.shift_B2[:, 1:]
    row_bytes = width * channels
    every_start = padded.view(-1).as_strided((padded.numel() - row_bytes + 1, row_bytes), (1, 1))
    return every_start.index_select(0, pixel_BH.view(-1) * channels).view(pixels_BHWC.shape)


def _mirror_and_crop_pixels(pixels_BHWC: Tensor, draws: Draws, padding: int) -> Tensor:
    """Gather pixel by pixel: the same result with three kernels and no padded copy."""
    num_images, height, width, _ = pixels_BHWC.shape
    device = pixels_BHWC.device
    flipped_B, shift_B2 = draws.flipped_B.to(device, non_blocking=True), draws.shift_B2.to(device, non_blocking=True)
    row_BH = shift_B2[:, :1] + torch.arange(height, device=device) - padding
    column_BW = shift_B2[:, 1:] + torch.arange(width, device=device) - padding
    column_BW = torch.where(flipped_B[:, None], width - 1 - column_BW, column_BW)
    visible_BHW = _within(row_BH, height)[:, :, None] & _within(column_BW, width)[:, None, :]
    image_B = torch.arange(num_images, device=device)[:, None, None]
    gathered = pixels_BHWC[image_B, row_BH.clamp(0, height - 1)[:, :, None], column_BW.clamp(0, width - 1)[:, None, :]]
    return gathered * visible_BHW[..., None]


def _within(index: Tensor, size: int) -> Tensor:
    return (index >= 0) & (index < size)
