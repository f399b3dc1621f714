from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unplateau.base.errors import DataError
from unplateau.config.schema import Config
from unplateau.data import image_source
from unplateau.data.image_source import CachedImages, DecodedImages, loader_processes, open_images
from unplateau.data.items import Item

SIZE = (16, 8)


@pytest.fixture
def items(tmp_path) -> list[Item]:
    generator = np.random.default_rng(0)
    for index in range(12):
        Image.fromarray(generator.integers(0, 256, (20, 10, 3), dtype=np.uint8)).save(tmp_path / f"{index:02d}.png")
    return [Item(str(tmp_path / f"{index:02d}.png"), index // 3, -1, "set") for index in range(12)]


def config_of(tmp_path: Path, **dataloader) -> Config:
    return Config.model_validate({"DATALOADER": {"CACHE_DIR": str(tmp_path / "cache"), **dataloader}})


def plan_of(items: list[Item]) -> list[list[str]]:
    paths = [item.path for item in items]
    return [paths[4:8], paths[:4], [paths[2], paths[2]]]


@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_cached_and_decoded_images_are_the_same_bytes(items, tmp_path, num_workers):
    cached = open_images(items, SIZE, config_of(tmp_path))
    decoded = open_images(items, SIZE, config_of(tmp_path, CACHE="off", NUM_WORKERS=num_workers))
    assert isinstance(cached, CachedImages)
    assert isinstance(decoded, DecodedImages)
    assert cached.size_HW == decoded.size_HW == SIZE
    pairs = list(zip(cached.batches(plan_of(items)), decoded.batches(plan_of(items)), strict=True))
    assert [len(pixels) for pixels, _ in pairs] == [4, 4, 2]
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_batch_is_the_callers_to_change(items, tmp_path):
    cached = open_images(items, SIZE, config_of(tmp_path))
    first = [pixels.zero_() for pixels in cached.batches(plan_of(items))]
    assert first[0].sum() == 0
    assert all(pixels.sum() > 0 for pixels in cached.batches(plan_of(items)))


def test_data_above_the_limit_is_decoded_on_the_fly_and_said(items, tmp_path):
    images = open_images(items, SIZE, config_of(tmp_path, CACHE_LIMIT_GB=1e-6))
    assert isinstance(images, DecodedImages)
    assert "CACHE_LIMIT_GB 1e-06" in images.notes[0]
    assert isinstance(open_images(items, SIZE, config_of(tmp_path, CACHE_LIMIT_GB=1e-6, CACHE="on")), CachedImages)


def test_a_folder_that_cannot_be_used_is_said_or_an_error_as_asked(items, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    images = open_images(items, SIZE, config_of(tmp_path))
    assert isinstance(images, DecodedImages)
    assert "cannot be used" in images.notes[0]
    with pytest.raises(DataError, match="Set DATALOADER.CACHE_DIR to another folder"):
        open_images(items, SIZE, config_of(tmp_path, CACHE="on"))


def test_a_full_disk_is_said_before_anything_is_decoded(items, tmp_path, monkeypatch):
    class Full:
        free = 1000

    monkeypatch.setattr(image_source.shutil, "disk_usage", lambda folder: Full)
    images = open_images(items, SIZE, config_of(tmp_path))
    assert isinstance(images, DecodedImages)
    assert "0.0 GB are free" in images.notes[0]


@pytest.mark.parametrize("num_workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_bad_image_on_the_fly_is_named_without_a_traceback(items, tmp_path, num_workers):
    Path(items[5].path).write_bytes(b"broken")
    images = open_images(items, SIZE, config_of(tmp_path, CACHE="off", NUM_WORKERS=num_workers))
    with pytest.raises(DataError, match=r"05\.png: the content is no image") as caught:
        list(images.batches(plan_of(items)))
    assert "Traceback" not in str(caught.value)


def test_decoding_on_the_fly_leaves_the_global_random_state_alone(items):
    state = torch.get_rng_state()
    list(DecodedImages(SIZE).batches(plan_of(items)))
    assert torch.equal(state, torch.get_rng_state())


def test_loader_processes_are_counted_from_the_cores_and_windows_has_none(monkeypatch):
    assert loader_processes(3) == 3
    monkeypatch.setattr(image_source.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(image_source.sys, "platform", "linux")
    assert loader_processes(-1) == 8
    monkeypatch.setattr(image_source.sys, "platform", "win32")
    assert loader_processes(-1) == 0
