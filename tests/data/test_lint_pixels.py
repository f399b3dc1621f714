import shutil
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unplateau.data.items import Item
from unplateau.data.lint import LintFinding
from unplateau.data.lint_pixels import lint_pixels


@pytest.fixture
def images(tmp_path: Path, draw_images) -> list[Item]:
    draw_images(tmp_path, [f"{number}.png" for number in range(6)])
    return [Item(str(tmp_path / f"{number}.png"), number, 0, "made-up") for number in range(6)]


def look(items: Sequence[Item], seconds: float = 1000.0) -> dict[str, LintFinding]:
    findings = lint_pixels(items, seconds=seconds, seed=0, clock=count().__next__)
    return {finding.code: finding for finding in findings}


def test_sound_images_give_no_finding(images: list[Item]) -> None:
    assert look(images) == {}


def test_no_time_looks_at_nothing(images: list[Item]) -> None:
    Path(images[0].path).write_bytes(b"broken")
    assert look(images, seconds=0) == {}


def test_the_time_is_kept_and_said(images: list[Item]) -> None:
    for item in images:
        Path(item.path).write_bytes(b"broken")
    assert (
        "3 of 3 images looked at (6 in all)" in look(images, seconds=4)["unreadable_images"].message
    )  # the clock ticks at each call


def test_broken_and_cut_off_images_are_unreadable(images: list[Item]) -> None:
    Path(images[1].path).write_bytes(b"broken")
    Path(images[2].path).write_bytes(Path(images[2].path).read_bytes()[:400])
    finding = look(images)["unreadable_images"]
    assert finding.severity == "error"
    assert "2 of 6 images" in finding.message


def test_blank_images_are_found_even_with_the_noise_of_jpeg(images: list[Item], tmp_path: Path) -> None:
    even = np.full((32, 16, 3), 90, dtype=np.uint8)
    even[::2] += 3
    Image.fromarray(even).save(tmp_path / "blank.jpg")
    finding = look([*images, Item(str(tmp_path / "blank.jpg"), 1, 0, "made-up")])["blank_images"]
    assert "1 of 7 images looked at (7 in all) are of one colour (blank.jpg)" in finding.message


def test_extreme_sizes_are_found(images: list[Item], tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "panorama.png")
    Image.fromarray(noise[:8, :8]).save(tmp_path / "dot.png")
    odd = [Item(str(tmp_path / name), 1, 0, "made-up") for name in ("panorama.png", "dot.png")]
    message = look([*images, *odd])["extreme_sizes"].message
    assert "panorama.png: 200x20" in message
    assert "dot.png: 8x8" in message


def test_copies_are_found_by_bytes_and_by_pixels(images: list[Item], tmp_path: Path) -> None:
    shutil.copy(images[0].path, tmp_path / "copy.png")
    Image.open(images[1].path).save(tmp_path / "again.bmp")
    copies = [Item(str(tmp_path / "copy.png"), 0, 1, "made-up"), Item(str(tmp_path / "again.bmp"), 1, 1, "made-up")]
    findings = look([*images, *copies])
    assert set(findings) == {"duplicate_images"}
    assert findings["duplicate_images"].message.startswith("2 images")
    assert "1 of them in other bytes" in findings["duplicate_images"].message


def test_one_image_under_two_identities_is_a_warning(images: list[Item], tmp_path: Path) -> None:
    shutil.copy(images[0].path, tmp_path / "copy.png")
    findings = look([*images, Item(str(tmp_path / "copy.png"), 5, 0, "made-up")])
    assert findings["same_image_different_identity"].severity == "warning"
