import json
import multiprocessing
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unplateau.base.errors import DataError
from unplateau.data import cache as cache_module
from unplateau.data.cache import describe, make_room, open_cache
from unplateau.data.user_cache import image_cache_folder

SIZE = (16, 8)


def draw(folder: Path, num_images: int) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for index in range(num_images):
        Image.fromarray(generator.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(folder / f"{index:04d}.png")
        os.utime(folder / f"{index:04d}.png", (1_000_000, 1_000_000))
    return [str(folder / f"{index:04d}.png") for index in range(num_images)]


@pytest.fixture
def paths(tmp_path) -> list[str]:
    return draw(tmp_path / "a" / "train", 30)


def open_fresh(paths, folder, **options):
    return open_cache(describe(paths, SIZE), folder, **options)


def count_decodes(monkeypatch) -> list[str]:
    decoded: list[str] = []
    original = cache_module.decode

    def counting(path, size_HW):
        decoded.append(path)
        return original(path, size_HW)

    monkeypatch.setattr(cache_module, "decode", counting)
    return decoded


def assert_right(cache, paths) -> None:
    for path in paths:
        assert np.array_equal(cache.pixels_NHW3[cache.row_of_path[path]].numpy(), np.asarray(Image.open(path)))


def test_it_holds_the_decoded_images_and_is_built_once(paths, tmp_path, monkeypatch):
    decoded, folder = count_decodes(monkeypatch), tmp_path / "cache"
    assert_right(open_fresh(paths, folder), paths)
    again = open_fresh(paths, folder)
    assert_right(again, paths)
    assert again.notes == ()
    assert sorted(decoded) == paths
    assert sorted(path.suffix for path in folder.iterdir()) == [".images", ".json"]


def test_the_order_repetitions_and_the_folder_of_the_data_do_not_matter(paths, tmp_path):
    copy = draw(tmp_path / "b" / "train", 30)
    keys = {describe(each, SIZE).key for each in (paths, paths[::-1], paths + paths[:3], copy)}
    assert len(keys) == 1
    assert describe(paths[:-1], SIZE).key not in keys
    assert describe(paths, (8, 8)).key not in keys


def test_a_changed_image_makes_another_cache(paths, tmp_path):
    before = describe(paths, SIZE).key
    os.utime(paths[3], (2_000_000, 2_000_000))
    assert describe(paths, SIZE).key != before


def test_what_is_written_to_the_tensor_never_reaches_the_file(paths, tmp_path):
    open_fresh(paths, tmp_path).pixels_NHW3.zero_()
    assert_right(open_fresh(paths, tmp_path), paths)


def damage_by_cutting(images: Path, manifest: Path) -> None:
    with images.open("r+b") as stream:
        stream.truncate(images.stat().st_size - 1)


def damage_by_zeros(images: Path, manifest: Path) -> None:
    with images.open("r+b") as stream:
        stream.seek(400)
        stream.write(bytes(1000))


def damage_manifest(images: Path, manifest: Path) -> None:
    manifest.write_text(manifest.read_text()[:40])


def damage_manifest_kind(images: Path, manifest: Path) -> None:
    manifest.write_text("[1, 2]")


def damage_checksums(images: Path, manifest: Path) -> None:
    manifest.write_text(json.dumps({"crc32": [0]}))


def lose_images(images: Path, manifest: Path) -> None:
    images.unlink()


@pytest.mark.parametrize(
    "damage", [damage_by_cutting, damage_by_zeros, damage_manifest, damage_manifest_kind, damage_checksums, lose_images]
)
def test_a_damaged_cache_is_noticed_and_rebuilt_with_a_note(paths, tmp_path, damage):
    open_fresh(paths, tmp_path)
    key = describe(paths, SIZE).key
    damage(tmp_path / f"{key}.images", tmp_path / f"{key}.json")
    cache = open_fresh(paths, tmp_path)
    assert_right(cache, paths)
    assert len(cache.notes) == 1
    assert "rebuilt" in cache.notes[0]
    assert open_fresh(paths, tmp_path).notes == ()


def test_images_without_a_manifest_are_no_cache_and_need_no_note(paths, tmp_path):
    (tmp_path / f"{describe(paths, SIZE).key}.images").write_bytes(b"torn")
    cache = open_fresh(paths, tmp_path)
    assert_right(cache, paths)
    assert cache.notes == ()


def test_damaged_images_are_all_counted_up_to_ten_named_and_nothing_is_left_behind(paths, tmp_path):
    for path in paths[:12]:
        Path(path).write_bytes(b"broken")
    with pytest.raises(DataError, match="12 of 30 images cannot be read") as caught:
        open_fresh(paths, tmp_path / "cache")
    assert str(caught.value).count("is no image") == 10
    assert "and 2 more" in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_vanished_image_is_named(paths, tmp_path):
    Path(paths[7]).unlink()
    with pytest.raises(DataError, match="0007.png: the file is not there"):
        open_fresh(paths, tmp_path)


def test_progress_counts_to_the_total(paths, tmp_path):
    seen: list[tuple[int, int]] = []
    open_fresh(paths, tmp_path, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 30) for done in range(1, 31)]


def test_a_build_that_is_interrupted_leaves_nothing_and_the_next_one_works(paths, tmp_path):
    def interrupt(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_fresh(paths, tmp_path / "cache", on_progress=interrupt)
    assert list((tmp_path / "cache").iterdir()) == []
    assert_right(open_fresh(paths, tmp_path / "cache"), paths)


def _build_in_a_process(paths, folder, barrier, results) -> None:
    torch.set_num_threads(1)
    decoded = []
    original = cache_module.decode
    cache_module.decode = lambda path, size_HW: decoded.append(path) or time.sleep(0.005) or original(path, size_HW)
    barrier.wait()
    cache = open_fresh(paths, folder)
    results.put((len(decoded), int(cache.pixels_NHW3.sum())))


@pytest.mark.slow
def test_processes_that_start_together_share_one_build(paths, tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    arguments = (paths, tmp_path / "cache", barrier, results)
    processes = [context.Process(target=_build_in_a_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    outcomes = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert sorted(count for count, _ in outcomes) == [0, 30]
    assert len({total for _, total in outcomes}) == 1


def test_threads_that_start_together_share_one_build(paths, tmp_path, monkeypatch):
    decoded = count_decodes(monkeypatch)
    threads = [threading.Thread(target=open_fresh, args=(paths, tmp_path)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(decoded) == paths


@pytest.mark.parametrize("age_seconds", [3600, -3600], ids=["old", "from before the clock was set back"])
def test_the_lock_of_a_builder_that_died_is_taken_over(paths, tmp_path, age_seconds):
    lock = tmp_path / f"{describe(paths, SIZE).key}.lock"
    lock.touch()
    os.utime(lock, (time.time() - age_seconds,) * 2)
    assert_right(open_fresh(paths, tmp_path), paths)
    assert not lock.exists()


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_an_oserror(paths, tmp_path):
    (tmp_path / "cache").mkdir(mode=0o500)
    with pytest.raises(OSError, match="cache"):
        open_fresh(paths, tmp_path / "cache")


def test_the_caches_used_longest_ago_make_room(tmp_path):
    for age, name in enumerate(["newest", "older", "oldest"]):
        (tmp_path / f"{name}.images").write_bytes(bytes(100))
        (tmp_path / f"{name}.json").write_text("{}")
        for suffix in ("images", "json"):
            os.utime(tmp_path / f"{name}.{suffix}", (1_000_000 - age,) * 2)
    (tmp_path / ".crashed.images.77.part").write_bytes(bytes(10))
    os.utime(tmp_path / ".crashed.images.77.part", (1_000_000,) * 2)
    (tmp_path / ".running.images.78.part").write_bytes(bytes(10))
    (tmp_path / "notes.txt").write_text("the user's own")
    make_room(tmp_path, 150, limit_bytes=350)
    assert {path.name for path in tmp_path.iterdir()} == {
        "newest.images", "newest.json", "older.images", "older.json", ".running.images.78.part", "notes.txt",
    }  # fmt: skip


def test_the_folder_is_the_configured_one_then_the_environments_then_the_users(monkeypatch):
    monkeypatch.delenv("UNPLATEAU_CACHE", raising=False)
    assert image_cache_folder().parts[-2:] == ("unplateau", "images")
    monkeypatch.setenv("UNPLATEAU_CACHE", "elsewhere")
    assert image_cache_folder() == Path("elsewhere/images")
    assert image_cache_folder("here") == Path("here/images")
