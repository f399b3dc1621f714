"""Where batches of pixels come from: the decoded cache, or the image files themselves, decoded as they are needed.

Both give the same bytes for the same images. Shuffling is `samplers`, augmentation is `transforms`.

Legend: N images, B images of a batch, H height, W width, 3 channels R, G, B.
"""

import os
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from unplateau.base.errors import DataError
from unplateau.config.schema import Config, Dataloader
from unplateau.data.cache import CacheSpec, ImageCache, Progress, describe, make_room, open_cache
from unplateau.data.decode import decode
from unplateau.data.items import Item
from unplateau.data.user_cache import image_cache_folder

_GIGABYTE = 1e9
_MAX_WORKERS = 8
_FREE_DISK_KEPT_BYTES = 1e9  # a cache never fills a disk to the brim


class ImageSource(ABC):
    """Pixels of a set of images, all of one size.

    Attributes:
        size_HW: height and width of every image it gives.
        notes: sentences worth a line in the log.
    """

    def __init__(self, size_HW: tuple[int, int], notes: tuple[str, ...]) -> None:
        self.size_HW = size_HW
        self.notes = notes

    @abstractmethod
    def covers(self, paths: Iterable[str]) -> bool:
        """Return whether it can give the pixels of all these images."""

    @abstractmethod
    def batches(self, plan: Sequence[Sequence[str]], *, pinned: bool = False) -> Iterator[Tensor]:
        """Yield the pixels of each batch of paths.

        Args:
            plan: paths of each batch.
            pinned: whether the memory is page-locked, so that a copy to a GPU need not wait.

        Returns:
            pixels_BHW3, uint8, on the CPU, the caller's to keep.

        Raises:
            DataError: an image cannot be read.
        """


class CachedImages(ImageSource):
    """Pixels out of a memory-mapped cache: a batch is one copy of whole images, so no loader process is needed."""

    def __init__(self, cache: ImageCache) -> None:
        height, width = cache.pixels_NHW3.shape[1:3]
        super().__init__((height, width), cache.notes)
        self._cache = cache

    def covers(self, paths: Iterable[str]) -> bool:
        return self._cache.row_of_path.keys() >= set(paths)

    def batches(self, plan: Sequence[Sequence[str]], *, pinned: bool = False) -> Iterator[Tensor]:
        row_of_path, pixels_NHW3 = self._cache.row_of_path, self._cache.pixels_NHW3
        for paths in plan:
            rows_B = torch.tensor([row_of_path[path] for path in paths])
            pixels_BHW3 = torch.empty(len(paths), *pixels_NHW3.shape[1:], dtype=torch.uint8, pin_memory=pinned)
            yield torch.index_select(pixels_NHW3, 0, rows_B, out=pixels_BHW3)


class DecodedImages(ImageSource):
    """Pixels decoded from the files, in loader processes where `num_workers` is above 0."""

    def __init__(self, size_HW: tuple[int, int], *, num_workers: int = 0, notes: tuple[str, ...] = ()) -> None:
        super().__init__(size_HW, notes)
        self._num_workers = num_workers

    def covers(self, paths: Iterable[str]) -> bool:
        return True

    def batches(self, plan: Sequence[Sequence[str]], *, pinned: bool = False) -> Iterator[Tensor]:
        decoded: Iterable[Tensor | DataError] = DataLoader(
            _DecodedBatches(plan, self.size_HW),
            batch_size=None,
            collate_fn=_as_it_is,
            num_workers=min(self._num_workers, len(plan)),
            worker_init_fn=_begin_worker,
            generator=torch.Generator(),  # else every epoch would draw from the global one
        )
        for pixels_BHW3 in decoded:
            if isinstance(pixels_BHW3, DataError):
                raise pixels_BHW3
            yield pixels_BHW3.pin_memory() if pinned else pixels_BHW3


def _begin_worker(number: int) -> None:
    """In a process that decodes: where the training or another worker died, Python's own thread would print a traceback of it."""
    usual = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, ConnectionError | EOFError):
            usual(kind, error, trace)

    sys.excepthook = hook


def _as_it_is(value: Any) -> Any:
    return value


class _DecodedBatches(Dataset[Tensor | DataError]):
    """One element is one batch. An error is handed over as a value: raised in a worker it would arrive as a traceback."""

    def __init__(self, plan: Sequence[Sequence[str]], size_HW: tuple[int, int]) -> None:
        self._plan = plan
        self._size_HW = size_HW

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, step: int) -> Tensor | DataError:
        try:
            return torch.from_numpy(np.stack([decode(path, self._size_HW) for path in self._plan[step]]))
        except DataError as error:
            return DataError(f"An image cannot be read: {error}. Replace it, or remove it from the data set, then start again.")


def open_images(
    items: Sequence[Item], size_HW: tuple[int, int], config: Config, *, on_progress: Progress | None = None
) -> ImageSource:
    """Open the images the way `DATALOADER.CACHE` asks for, building the cache where there is none.

    Give all training images at once and share the result: then training and held-out images, and all seeds, use one cache.

    Args:
        items: the images.
        size_HW: height and width the images are resized to.
        config: `DATALOADER` decides.
        on_progress: called with (images done, total) while a cache is built.

    Raises:
        DataError: images are missing or damaged, or CACHE is "on" and there can be no cache.
    """
    settings = config.DATALOADER
    num_workers = loader_processes(settings.NUM_WORKERS)
    if settings.CACHE == "off":
        return DecodedImages(size_HW, num_workers=num_workers)
    spec = describe([item.path for item in items], size_HW)
    folder = image_cache_folder(settings.CACHE_DIR)
    try:
        obstacle = _obstacle(spec, folder, settings)
        if not obstacle:
            return CachedImages(open_cache(spec, folder, on_progress=on_progress))
    except OSError as error:
        obstacle = f"The image cache in {folder} cannot be used ({error})."
    if settings.CACHE == "on":
        raise DataError(f"{obstacle} Set DATALOADER.CACHE_DIR to another folder, or DATALOADER.CACHE to auto or off.")
    return DecodedImages(size_HW, num_workers=num_workers, notes=(f"{obstacle} Images are decoded as they are needed.",))


def loader_processes(configured: int) -> int:
    """Return the number of loader processes for `DATALOADER.NUM_WORKERS`: -1 = one a core up to eight, none on Windows."""
    if configured >= 0:
        return configured
    return 0 if sys.platform == "win32" else min(_MAX_WORKERS, os.cpu_count() or 1)


def _obstacle(spec: CacheSpec, folder: Path, settings: Dataloader) -> str:
    """Make room for a cache that is not there yet, and say why there can be none, if so."""
    if (folder / f"{spec.key}.json").exists():
        return ""
    gigabytes, limit = spec.num_bytes / _GIGABYTE, settings.CACHE_LIMIT_GB
    if settings.CACHE == "auto" and gigabytes > limit:
        return f"The decoded images take {gigabytes:.1f} GB, more than DATALOADER.CACHE_LIMIT_GB {limit:g}."
    folder.mkdir(parents=True, exist_ok=True)
    make_room(folder, spec.num_bytes, limit * _GIGABYTE)
    free_bytes = shutil.disk_usage(folder).free - _FREE_DISK_KEPT_BYTES
    if spec.num_bytes > free_bytes:
        return f"The decoded images take {gigabytes:.1f} GB, and {max(0, free_bytes) / _GIGABYTE:.1f} GB are free in {folder}."
    return ""
