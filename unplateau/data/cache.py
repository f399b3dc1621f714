"""Decoded images in one memory-mapped file: built once, checked when opened, shared by processes and runs.

Two files a cache: `<key>.images` (N x H x W x 3 bytes) and `<key>.json` (manifest, written last: without it there is no cache).
The key is a hash of names, sizes and times of change of the image files, of the size in pixels and of the decoder's version.
Both are written under a temporary name and renamed, so whoever reads sees a whole cache or none; a lock file only spares
processes that start together the same work. When to use a cache is decided in `image_source`.

Legend: N images, H height, W width, 3 channels R, G, B.
"""

import hashlib
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL
import torch
from torch import Tensor

from unplateau.base.errors import DataError
from unplateau.base.files import read_json, remove, replacing, write_json
from unplateau.data.decode import decode

Progress = Callable[[int, int], None]
"""Called with the number of images done and their total."""

FORMAT_VERSION = 1
_ROWS_CHECKED = 1024  # evenly spread: a hole of more than N / 1024 images cannot hide
_FAILURES_NAMED = 10
_LOCK_IS_STALE_SECONDS = 30.0  # a builder refreshes its lock every second
_BEAT_SECONDS = 1.0
_POLL_SECONDS = 0.1
_LEFTOVER_SECONDS = 24 * 3600.0
_MAX_BUILD_THREADS = 8  # Pillow decodes outside Python's lock


@dataclass(frozen=True)
class ImageCache:
    """Decoded images.

    Attributes:
        pixels_NHW3: uint8, memory-mapped; pages are read when touched, and never written back.
        row_of_path: where each image is.
        notes: sentences worth a line in the log.
    """

    pixels_NHW3: Tensor
    row_of_path: dict[str, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CacheSpec:
    """What a cache holds: `paths` in the order of its rows, the key of its name, and the images' height and width."""

    paths: tuple[str, ...]
    key: str
    size_HW: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.paths), *self.size_HW, 3

    @property
    def num_bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


def describe(paths: Sequence[str], size_HW: tuple[int, int]) -> CacheSpec:
    """Return what a cache of these images would be; the order and the folder they are in do not matter.

    Raises:
        DataError: files are missing; the message names up to ten.
    """
    entries, missing = [], []
    for path in dict.fromkeys(paths):
        try:
            status = Path(path).stat()
        except OSError:
            missing.append(f"{path}: the file is not there (any more)")
            continue
        name = "/".join(path.replace("\\", "/").split("/")[-2:])
        entries.append((name, status.st_size, int(status.st_mtime), path))
    if missing:
        raise DataError(_failure_text(missing, len(paths)))
    entries.sort()
    digest = hashlib.sha256(f"{FORMAT_VERSION}/{PIL.__version__}/{size_HW[0]}x{size_HW[1]}".encode())
    for name, size, changed, _ in entries:
        digest.update(f"\n{name}/{size}/{changed}".encode("utf-8", "surrogateescape"))
    return CacheSpec(tuple(path for *_, path in entries), digest.hexdigest()[:24], size_HW)


def open_cache(spec: CacheSpec, folder: Path, *, on_progress: Progress | None = None) -> ImageCache:
    """Open the cache of these images, building it if there is none or if it is damaged.

    Raises:
        DataError: images cannot be decoded; the message names up to ten.
        OSError: the folder cannot be written to, or the disk is full.
    """
    while True:
        cache, _ = _open_existing(spec, folder)
        if cache is not None:
            return cache
        with _building_turn(folder / f"{spec.key}.lock") as (is_mine, beat):
            if is_mine:
                return _build_and_open(spec, folder, beat, on_progress)
        time.sleep(_POLL_SECONDS)


def _build_and_open(spec: CacheSpec, folder: Path, beat: Callable[[], None], on_progress: Progress | None) -> ImageCache:
    cache, complaint = _open_existing(spec, folder)  # another process may have finished since
    if cache is not None:
        return cache
    _build(spec, folder, beat, on_progress)
    cache, fault = _open_existing(spec, folder)
    if cache is None:
        raise OSError(f"the image cache written to {folder} a moment ago cannot be read back: {fault or 'it is gone'}")
    note = f"The image cache {spec.key} was not usable ({complaint}) and has been rebuilt."
    return replace(cache, notes=(note,)) if complaint else cache


def make_room(folder: Path, num_bytes: int, limit_bytes: float) -> None:
    """Delete the caches used longest ago until another of `num_bytes` fits under the limit, and what crashes left behind."""
    for leftover in folder.glob(".*.part"):
        with suppress(OSError):
            if time.time() - leftover.stat().st_mtime > _LEFTOVER_SECONDS:
                leftover.unlink()
    by_age = sorted(folder.glob("*.images"), key=_last_used, reverse=True)
    total = num_bytes
    for images in by_age:
        total += images.stat().st_size
        if total > limit_bytes:
            with suppress(OSError):  # in use, on Windows
                images.with_suffix(".json").unlink(missing_ok=True)
                images.unlink()


def _last_used(images: Path) -> float:
    manifest = images.with_suffix(".json")
    return max(path.stat().st_mtime for path in (images, manifest) if path.exists())


def _open_existing(spec: CacheSpec, folder: Path) -> tuple[ImageCache | None, str]:
    """Return the cache, or None and what is wrong with it; the second is empty where there simply is none."""
    images, manifest = folder / f"{spec.key}.images", folder / f"{spec.key}.json"
    if not manifest.exists():
        return None, ""
    try:
        checksums = read_json(manifest)["crc32"]
        if images.stat().st_size != spec.num_bytes or len(checksums) != len(spec.paths):
            return None, "its size is not what it should be"
        # Copy-on-write: torch wants writable memory, and whatever is written must not reach the file.
        pixels_NHW3 = np.memmap(images, dtype=np.uint8, mode="c", shape=spec.shape)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return None, f"{type(error).__name__}: {error}"
    rows = np.unique(np.linspace(0, len(checksums) - 1, _ROWS_CHECKED).round().astype(int))
    if any(zlib.crc32(pixels_NHW3[row].data) != checksums[row] for row in rows):
        return None, "images in it have changed"
    with suppress(OSError):  # a shared folder may be read-only
        os.utime(manifest)
    row_of_path = {path: row for row, path in enumerate(spec.paths)}
    return ImageCache(torch.from_numpy(pixels_NHW3), row_of_path), ""


def _build(spec: CacheSpec, folder: Path, beat: Callable[[], None], on_progress: Progress | None) -> None:
    """Decode every image into a temporary file, put it in place, then the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    remove(folder / f"{spec.key}.json")
    with replacing(folder / f"{spec.key}.images") as temporary:
        _reserve(temporary, spec.num_bytes)
        pixels_NHW3 = np.memmap(temporary, dtype=np.uint8, mode="r+", shape=spec.shape)
        checksums = _decode_all(spec, pixels_NHW3, beat, on_progress)
        pixels_NHW3.flush()
        del pixels_NHW3  # Windows renames no file that is mapped
    height, width = spec.size_HW
    manifest = {"format_version": FORMAT_VERSION, "num_images": len(spec.paths), "height": height, "width": width}
    write_json(folder / f"{spec.key}.json", {**manifest, "pillow": PIL.__version__, "crc32": checksums})


def _reserve(path: Path, num_bytes: int) -> None:
    """Make a file of that size. A full disk says so here; later, a write to mapped memory would end the process (SIGBUS)."""
    with path.open("wb") as stream:
        if sys.platform == "linux":
            os.posix_fallocate(stream.fileno(), 0, num_bytes)
        else:
            stream.truncate(num_bytes)


def _decode_all(spec: CacheSpec, pixels_NHW3: np.ndarray, beat: Callable[[], None], on_progress: Progress | None) -> list[int]:
    """Fill the rows and return their checksums."""

    def decode_row(row: int) -> int | str:
        try:
            pixels_NHW3[row] = decode(spec.paths[row], spec.size_HW)
        except DataError as error:
            return str(error)
        return zlib.crc32(pixels_NHW3[row].data)

    total, results = len(spec.paths), []
    pool = ThreadPoolExecutor(min(_MAX_BUILD_THREADS, os.cpu_count() or 1))
    try:
        for result in pool.map(decode_row, range(total)):
            results.append(result)
            beat()
            if on_progress:
                on_progress(len(results), total)
    finally:
        pool.shutdown(cancel_futures=True)
    failures = [result for result in results if isinstance(result, str)]
    if failures:
        raise DataError(_failure_text(failures, total))
    return [result for result in results if isinstance(result, int)]


def _failure_text(failures: Sequence[str], total: int) -> str:
    shown = "".join(f"\n  {failure}" for failure in failures[:_FAILURES_NAMED])
    more = f"\n  and {len(failures) - _FAILURES_NAMED} more" if len(failures) > _FAILURES_NAMED else ""
    return (
        f"{len(failures)} of {total} images cannot be read:{shown}{more}\n"
        "Unpack the data set again, or remove these files from it, then start again."
    )


@contextmanager
def _building_turn(lock: Path) -> Iterator[tuple[bool, Callable[[], None]]]:
    """Give True to the first process that asks, and a function it calls now and then to say that it is alive."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        if abs(time.time() - lock.stat().st_mtime) > _LOCK_IS_STALE_SECONDS:  # from the future: the clock was set back
            lock.unlink()
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except (FileExistsError, PermissionError) as error:
        if isinstance(error, PermissionError) and not lock.exists():  # Windows says so of a file being deleted, too
            raise
        yield False, lambda: None
        return
    last_beat = time.monotonic()

    def beat() -> None:
        nonlocal last_beat
        if time.monotonic() - last_beat > _BEAT_SECONDS:
            last_beat = time.monotonic()
            with suppress(OSError):
                os.utime(lock)

    try:
        yield True, beat
    finally:
        with suppress(PermissionError):  # open elsewhere, on Windows: it goes stale
            remove(lock)
