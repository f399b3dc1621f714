"""From an image file to RGB bytes of one size. The content decides the format, not the file's extension.

Colours are as Pillow converts them; an alpha channel and an EXIF orientation are ignored, of an animation the first frame counts.
Resizing is bicubic with anti-aliasing, as in fast-reid's `T.Resize(size, interpolation=3)`.

Legend: H height, W width, 3 channels R, G, B.
"""

import numpy as np
from PIL import Image

from unplateau.base.errors import DataError
from unplateau.data.fast_jpeg import decode_jpeg

MAX_PIXELS = 64_000_000  # 8000 x 8000; a person crop has some thousands, and a larger image is a mistake or an attack
_SIXTEEN_BIT_STEP = 257  # 65535 / 255


def decode(path: str, size_HW: tuple[int, int]) -> np.ndarray:
    """Read one image.

    Args:
        path: the file.
        size_HW: height and width to resize to; an image that has them is left as it is.

    Returns:
        pixels_HW3, uint8.

    Raises:
        DataError: the file is missing, is no image, is damaged, or has more than `MAX_PIXELS` pixels; the message names it.
    """
    height, width = size_HW
    try:
        pixels_HW3 = decode_jpeg(path, max_pixels=MAX_PIXELS)
        if pixels_HW3 is not None and pixels_HW3.shape[:2] == size_HW:
            return pixels_HW3
        rgb = Image.fromarray(pixels_HW3) if pixels_HW3 is not None else _by_pillow(path)
    except FileNotFoundError:
        raise DataError(f"{path}: the file is not there (any more)") from None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # a decoder fed with damaged bytes raises whatever it likes
        raise DataError(f"{path}: {_first_line(error)}") from error
    if rgb.size != (width, height):
        rgb = rgb.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(rgb)


def _by_pillow(path: str) -> Image.Image:
    with Image.open(path) as image:
        _refuse_huge(image)
        return _to_rgb(image)


def _refuse_huge(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(f"the image has {width} x {height} pixels; more than {MAX_PIXELS:,} are not read")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _from_wide_grey(image)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def _from_wide_grey(image: Image.Image) -> Image.Image:
    """Scale grey of 16 bits, or of floats in 0..1, to 8 bits; Pillow's own conversion would clip it to white or black."""
    values_HW = np.nan_to_num(np.asarray(image, dtype=np.float64))
    if image.mode == "F" and values_HW.max() <= 1:
        values_HW = values_HW * 255
    elif image.mode.startswith("I;16") or values_HW.max() > 255:
        values_HW = values_HW / _SIXTEEN_BIT_STEP
    return Image.fromarray(values_HW.round().clip(0, 255).astype(np.uint8)).convert("RGB")


def _first_line(error: Exception) -> str:
    """Say what Pillow said, without its repetition of the path."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "the content is no image (of a format Pillow knows)"
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
