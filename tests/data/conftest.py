"""Made-up folders of small drawn images, and the real data sets where their archives are at hand."""

import os
import tarfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unplateau.data.drawn import draw_once
from unplateau.data.user_cache import user_cache_folder

DrawImages = Callable[[Path, Iterable[str]], None]


@pytest.fixture
def draw_images() -> DrawImages:
    """Write an image of noise under each name; the same name gives the same image."""

    def draw(folder: Path, names: Iterable[str]) -> None:
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(zlib.crc32(str(path).encode())).integers(0, 256, (32, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)

    return draw


@pytest.fixture
def small_market(tmp_path: Path, draw_images: DrawImages) -> Path:
    """A root folder with a Market-1501 of two training and two test persons, a distractor and a junk image."""
    folder = tmp_path / "Market-1501-v15.09.15"
    draw_images(
        folder / "bounding_box_train", [f"{person:04d}_c{camera}s1_000001_00.jpg" for person in (2, 7) for camera in (1, 2)]
    )
    draw_images(folder / "query", ["0001_c1s1_000001_00.jpg", "0003_c2s1_000001_00.jpg"])
    gallery = ["0001_c2s1_000002_00.jpg", "0003_c1s1_000002_00.jpg.jpg", "0000_c3s1_000003_00.jpg", "-1_c1s1_000004_00.jpg"]
    draw_images(folder / "bounding_box_test", gallery)
    (folder / "bounding_box_test" / "Thumbs.db").write_bytes(b"not an image")
    return tmp_path


@pytest.fixture(scope="session")
def real_market_root() -> Path:
    """The folder that holds the real Market-1501."""
    return _unpacked("market1501.tar.gz")


@pytest.fixture(scope="session")
def real_pku_folder() -> Path:
    """The real PKU set: 74 persons, two cameras, JPEG data in files named .png."""
    return _unpacked("pku_reid_74.tar.gz") / "pku_reid_74"


def _unpacked(archive: str) -> Path:
    archives = os.environ.get("REID_ARCHIVES", "")
    path = Path(archives) / archive
    if not archives or not path.is_file():
        pytest.skip(f"{archive} is not in the folder named by REID_ARCHIVES ({archives or 'not set'})")
    folder = user_cache_folder() / "test_archives" / f"{archive.partition('.')[0]}-{path.stat().st_size}"
    if not folder.is_dir():
        draw_once(folder, lambda part: _unpack(path, part))
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
