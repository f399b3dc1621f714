import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from unplateau.base.errors import DataError
from unplateau.data.decode import MAX_PIXELS, decode

SIZE = (16, 8)  # height, width


@pytest.fixture
def colors() -> np.ndarray:
    """A smooth picture of 16 x 8 pixels, so that JPEG keeps it."""
    rows, columns = np.mgrid[0:16, 0:8]
    return np.stack([rows * 15, columns * 30, 255 - rows * 10], axis=2).astype(np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp", "a.ppm"])
def test_lossless_formats_give_their_pixels(tmp_path, colors, name):
    Image.fromarray(colors).save(tmp_path / name, **({"lossless": True} if name.endswith("webp") else {}))
    assert np.array_equal(decode(str(tmp_path / name), SIZE), colors)


def test_the_content_decides_not_the_extension(tmp_path, colors):
    Image.fromarray(colors).save(tmp_path / "really_a_jpeg.png", format="JPEG", quality=95)
    assert np.abs(decode(str(tmp_path / "really_a_jpeg.png"), SIZE).astype(int) - colors).mean() < 4


def test_an_image_of_the_right_size_is_not_resampled_and_others_are_bicubic(tmp_path, colors):
    Image.fromarray(colors).save(tmp_path / "a.png")
    expected = Image.fromarray(colors).resize((10, 20), Image.Resampling.BICUBIC)
    assert np.array_equal(decode(str(tmp_path / "a.png"), (20, 10)), np.asarray(expected))


def test_a_single_pixel_is_an_image(tmp_path):
    Image.new("RGB", (1, 1), (10, 20, 30)).save(tmp_path / "a.png")
    pixels = decode(str(tmp_path / "a.png"), SIZE)
    assert pixels.shape == (16, 8, 3)
    assert (pixels == [10, 20, 30]).all()


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("RGB", (8, 16), (200, 30, 60)).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert np.abs(decode(str(tmp_path / "a.jpg"), SIZE).astype(int) - [200, 30, 60]).max() < 8


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    values = np.linspace(0, 65535, 128).reshape(16, 8).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert np.array_equal(decode(str(tmp_path / "a.png"), SIZE)[..., 0], (values / 257).round().astype(np.uint8))


def test_float_grey_between_0_and_1_is_scaled(tmp_path):
    values = np.linspace(0, 1, 128, dtype=np.float32).reshape(16, 8)
    Image.fromarray(values).save(tmp_path / "a.tif")
    assert np.array_equal(decode(str(tmp_path / "a.tif"), SIZE)[..., 1], (values * 255).round().astype(np.uint8))


def test_palettes_transparency_and_one_bit_images_are_read_without_a_warning(tmp_path, colors):
    palette = Image.fromarray(colors).quantize(16)
    palette.save(tmp_path / "palette.png", transparency=bytes([0, 128] + [255] * 14))
    assert np.array_equal(decode(str(tmp_path / "palette.png"), SIZE), np.asarray(palette.convert("RGB")))
    with_alpha = np.dstack([colors, np.zeros((16, 8), np.uint8)])
    Image.fromarray(with_alpha).save(tmp_path / "alpha.png")
    assert np.array_equal(decode(str(tmp_path / "alpha.png"), SIZE), colors)
    Image.new("1", (8, 16), 1).save(tmp_path / "one_bit.png")
    assert (decode(str(tmp_path / "one_bit.png"), SIZE) == 255).all()


def test_an_orientation_is_ignored_and_the_first_frame_counts(tmp_path, colors):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(colors).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(decode(str(tmp_path / "turned.png"), SIZE), colors)
    frames = [Image.new("RGB", (8, 16), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert (decode(str(tmp_path / "moving.gif"), SIZE) == [255, 0, 0]).all()


def test_a_damaged_file_is_named(tmp_path, colors):
    buffer = io.BytesIO()
    Image.fromarray(colors).resize((64, 128)).save(buffer, "JPEG")
    contents = {"cut.jpg": buffer.getvalue()[:-200], "text.jpg": b"hello", "empty.jpg": b"", "head.png": b"\x89PNG\r\n\x1a\n"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            decode(str(tmp_path / name), SIZE)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(DataError, match="gone.jpg: the file is not there"):
        decode(str(tmp_path / "gone.jpg"), SIZE)
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(DataError, match=r"folder\.jpg"):
        decode(str(tmp_path / "folder.jpg"), SIZE)


@pytest.mark.parametrize("side", [9_000, 12_000, 60_000])  # ours, Pillow's warning, Pillow's error
def test_a_decompression_bomb_is_refused_before_it_goes_off(tmp_path, side):
    assert side * side > MAX_PIXELS

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(DataError, match=r"bomb\.png: .*pixels"):
        decode(str(tmp_path / "bomb.png"), SIZE)
