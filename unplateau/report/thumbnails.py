"""Small copies of images as `data:` addresses, for pages that were asked to hold them."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

_SIZE = (96, 192)  # width and height; a column of the page is 83 pixels wide
_QUALITY = 80


def thumbnail(path: Path) -> str:
    """Return the image as a small JPEG in a `data:` address; empty where the file is not there or is no image."""
    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
            small.thumbnail(_SIZE)
    except (OSError, ValueError, Image.DecompressionBombError):
        return ""
    stream = io.BytesIO()
    small.save(stream, format="JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
