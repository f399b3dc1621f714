"""With simplejpeg and without, images have the same bytes and errors the same words."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unplateau.base.errors import DataError
from unplateau.data import decode as decoding
from unplateau.data.fast_jpeg import decode_jpeg

simplejpeg = pytest.importorskip("simplejpeg")


def picture(mode: str, height: int, width: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (8, 4, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def by_pillow(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("size_HW", [(128, 64), (127, 61), (1, 1), (9, 200)])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("progressive", [False, True])
def test_pixels_are_pillows(tmp_path, size_HW, subsampling, mode, progressive):
    path = tmp_path / "a.jpg"
    picture(mode, *size_HW).save(path, "JPEG", subsampling=subsampling, progressive=progressive, quality=85)
    pixels_HW3 = decode_jpeg(str(path), max_pixels=10**6)
    assert pixels_HW3 is not None
    assert np.array_equal(pixels_HW3, by_pillow(path))


def test_what_is_no_plain_jpeg_is_left_to_pillow(tmp_path):
    path = tmp_path / "a.jpg"
    picture("CMYK", 16, 8).save(path, "JPEG")
    assert decode_jpeg(str(path), max_pixels=10**6) is None
    picture("RGB", 16, 8).save(path, "PNG")
    assert decode_jpeg(str(path), max_pixels=10**6) is None
    picture("RGB", 16, 8).save(path, "JPEG")
    assert decode_jpeg(str(path), max_pixels=100) is None


@pytest.mark.parametrize("kept", [3, 50, 300, -5])
def test_a_damaged_file_fails_in_the_same_words(tmp_path, kept, monkeypatch):
    stream = io.BytesIO()
    picture("RGB", 64, 32).save(stream, "JPEG")
    path = tmp_path / "a.jpg"
    path.write_bytes(stream.getvalue()[:kept])
    messages = []
    for fast in (True, False):
        if not fast:
            monkeypatch.setattr(decoding, "decode_jpeg", lambda path, max_pixels: None)
        with pytest.raises(DataError) as caught:
            decoding.decode(str(path), (64, 32))
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    with pytest.raises(DataError, match="not there"):
        decoding.decode(str(tmp_path / "none.jpg"), (64, 32))
