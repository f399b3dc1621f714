"""JPEG files decoded by simplejpeg where it is installed (the extra `jpeg`): the same bytes as Pillow's, several times as fast.

Both are libjpeg-turbo; Pillow's way to it is longer (`benchmarks/loader/decoding.py`). Whatever is not a sound JPEG file of
colour or grey is left to Pillow, so that results, refusals and messages are the same with and without.
"""

import os
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np

_FIRST_BYTES = b"\xff\xd8\xff"
_LARGEST_BYTES = 1 << 26
_COLOURS = ("YCbCr", "RGB", "Gray")


def decode_jpeg(path: str, *, max_pixels: int) -> np.ndarray | None:
    """Return pixels_HW3, uint8 RGB; None where this file is for Pillow, or simplejpeg is not installed.

    Args:
        path: the file.
        max_pixels: a larger image is not decoded.

    Raises:
        OSError: the file cannot be read.
    """
    simplejpeg = _simplejpeg()
    content = _content(path) if simplejpeg is not None else None
    if simplejpeg is None or content is None:
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        if colours not in _COLOURS or height * width > max_pixels:
            return None
        pixels_HW3: np.ndarray = simplejpeg.decode_jpeg(content, "RGB")
    except ValueError:  # damaged, or of a kind it does not know: Pillow says what is wrong, or reads it
        return None
    return pixels_HW3


def _content(path: str) -> bytes | None:
    """Return what the file holds; None where that is no JPEG, or more than an image of a person can be."""
    with Path(path).open("rb") as stream:
        first = stream.read(len(_FIRST_BYTES))
        is_jpeg = first == _FIRST_BYTES and os.fstat(stream.fileno()).st_size <= _LARGEST_BYTES
        return first + stream.read() if is_jpeg else None


@cache
def _simplejpeg() -> ModuleType | None:
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg
