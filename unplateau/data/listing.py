"""Images of a folder and what their names say; folders are walked here only, in an order that no file system decides."""

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

from unplateau.base.errors import DataError
from unplateau.data.items import DISTRACTOR, JUNK, DatasetFiles, Item

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})


@dataclass(frozen=True)
class FlatLayout:
    """Three folders of images whose names say person and camera, as Market-1501 introduced it.

    Attributes:
        name: the data set's name.
        folders: folder names of train, query and gallery.
        pattern: matched at the start of a file name; its groups are person and camera, cameras counted from 0 or 1.
        example: a file name as it should look, for messages.
    """

    name: str
    folders: tuple[str, str, str]
    pattern: re.Pattern[str]
    example: str


def image_names(folder: Path) -> list[str]:
    """Return the names of the images directly in a folder, sorted; hidden files and other kinds are left out."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if _is_image_name(entry.name))


def subfolders(folder: Path) -> list[Path]:
    """Return the folders directly in a folder, sorted by name, hidden ones left out; none where there is no such folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    return [folder / name for name in names]


def sizes_of(paths: list[str]) -> list[int]:
    """Return the size in bytes of each file, -1 for one that is not there; one listing a folder, so 32,000 files take 0.1 s."""
    sizes: dict[str, int] = {}
    for folder in sorted({path.rpartition(os.sep)[0] for path in paths}):
        sizes.update(_sizes_in(folder))
    return [sizes.get(path, -1) for path in paths]


def read_flat(folder: Path, layout: FlatLayout) -> DatasetFiles:
    """Read a data set of three flat folders.

    Args:
        folder: holds the layout's three folders.
        layout: folder names and how to read file names.

    Raises:
        DataError: a folder is missing or has no images, or names cannot be read.
    """
    parts = [_read_folder(folder / name, layout) for name in layout.folders]
    for name, items in zip(layout.folders[:2], parts, strict=False):
        _refuse_distractors(folder / name, items, layout)
    lowest = min(item.camera_id for items in parts for item in items)
    train, query, gallery = (_from_zero(items, min(lowest, 1)) for items in parts)
    return DatasetFiles(layout.name, train, query, gallery)


def refuse_unreadable_names(folder: Path, names: list[str], total: int, expected: str) -> None:
    """Raise DataError where `names`, of `total` images in `folder`, could not be read."""
    if names:
        raise DataError(
            f"{folder}: {len(names):,} of {total:,} image names say no person or camera, such as {names[0]!r}. "
            f"Expected names such as {expected!r}. Move the files that do not belong there, or describe the images with "
            "DATASETS.NAMES csv:FILE (columns path, person, camera, split)."
        )


def _read_folder(folder: Path, layout: FlatLayout) -> list[Item]:
    names = _names_in(folder, layout)
    matches = [layout.pattern.match(name) for name in names]
    unreadable = [name for name, match in zip(names, matches, strict=True) if match is None]
    refuse_unreadable_names(folder, unreadable, len(names), layout.example)
    prefix = f"{folder.absolute()}{os.sep}"
    return [
        Item(prefix + name, int(match.group(1)), int(match.group(2)), layout.name)
        for name, match in zip(names, matches, strict=True)
        if match is not None
    ]


def _names_in(folder: Path, layout: FlatLayout) -> list[str]:
    if not folder.is_dir():
        wanted = ", ".join(layout.folders)
        raise DataError(f"{folder} is missing: {layout.name} consists of the folders {wanted}. Unpack the archive again, whole.")
    names = image_names(folder)
    if not names:
        raise DataError(
            f"{folder} holds no images{_what_is_there(folder)}. Expected files such as {layout.example!r}. "
            "Unpack the archive again, and see that no folder was put into itself."
        )
    return names


def _what_is_there(folder: Path) -> str:
    others = sorted(entry.name for entry in folder.iterdir())
    return f" but {len(others):,} other entries, such as {others[0]!r}" if others else ", nor anything else"


def _refuse_distractors(folder: Path, items: list[Item], layout: FlatLayout) -> None:
    distractors = [item for item in items if item.person_id == DISTRACTOR]
    if distractors:
        raise DataError(
            f"{folder}: {len(distractors):,} images carry person 0, such as {Path(distractors[0].path).name!r}; in {layout.name} "
            "person 0 is a distractor, which stands in the gallery only. For data of your own, numbered from 0, use "
            "DATASETS.NAMES folder:PATH."
        )


def _from_zero(items: list[Item], first_camera: int) -> tuple[Item, ...]:
    """Return the items without junk, cameras counted from 0; a copy that counts them from 0 already keeps its numbers."""
    kept = (item for item in items if item.person_id != JUNK)
    return tuple(Item(item.path, item.person_id, item.camera_id - first_camera, item.dataset) for item in kept)


def _sizes_in(folder: str) -> dict[str, int]:
    try:
        with os.scandir(folder) as entries:
            return {entry.path: entry.stat().st_size for entry in entries if entry.is_file()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:  # no file can have such a name, so there is none
            raise
        return {}


def _is_image_name(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122  36,000 times
