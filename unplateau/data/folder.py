"""Any folder of images, `folder:PATH`: a folder for each person, or flat folders in Market-1501's style. Tables: `table`.

    PATH/{train,query,gallery}/<person>/<file>      query and gallery may lie in PATH/val or PATH/test
    PATH/{bounding_box_train,query,bounding_box_test}/<person>_c<camera>...jpg
    PATH/<person>/<file>                            training only

The camera is `c<number>` or `cam<number>` in the file name, else the digits the name begins with, else unknown.
"""

import os
import re
from dataclasses import replace
from pathlib import Path

from unplateau.base.errors import DataError, DataNotFoundError
from unplateau.data.identify import Sighting, identify
from unplateau.data.items import DatasetFiles
from unplateau.data.listing import image_names, refuse_unreadable_names, subfolders

_SPLIT_FOLDERS = {  # the first that is there is taken
    "train": ("train", "bounding_box_train", "image_train", "training"),
    "query": ("query", "val/query", "test/query", "image_query", "probe"),
    "gallery": ("gallery", "val/gallery", "test/gallery", "bounding_box_test", "image_test"),
}
_FLAT_NAME = re.compile(r"(-1|[A-Za-z0-9]+)[_-]c(?:am)?_?(\d+)", re.IGNORECASE)
_CAMERA_WORD = re.compile(r"(?<![A-Za-z])c(?:am)?_?(\d+)", re.IGNORECASE)
_LEADING_DIGITS = re.compile(r"(\d+)[_-]")
_MOST_CAMERAS = 64  # more "cameras" than this in leading digits are running numbers: MSMT17, the largest set, has 15


def read_folder(path: Path) -> DatasetFiles:
    """Read the images under `path` in one of the layouts above.

    Raises:
        DataNotFoundError: there is no such folder.
        DataError: it has none of the layouts, or names that say no person.
    """
    if not path.is_dir():
        raise DataNotFoundError(
            f"folder:{path}: there is no such folder ({path.absolute()}). Give one as in DATASETS.NAMES folder:/data/mine "
            "(Windows: folder:D:\\data\\mine); a relative path is looked for here and under DATASETS.ROOT."
        )
    splits = {split: found for split in _SPLIT_FOLDERS if (found := _split_folder(path, split)) is not None}
    sightings = [one for split, folder in splits.items() for one in _read_split(folder, split)]
    if not splits:
        sightings = _read_persons(path, subfolders(path), "train")
    if not sightings:
        raise DataError(_no_layout(path))
    cameras, note = _with_cameras(sightings)
    return identify(path.absolute().name, cameras, note)


def _split_folder(path: Path, split: str) -> Path | None:
    return next((path / name for name in _SPLIT_FOLDERS[split] if (path / name).is_dir()), None)


def _read_split(folder: Path, split: str) -> list[Sighting]:
    flat, persons = image_names(folder), subfolders(folder)
    found = _read_flat(folder, flat, split) if flat else _read_persons(folder, persons, split)
    if not found:
        raise DataError(f"{folder} holds no images, neither directly nor in a folder for each person. Is it unpacked whole?")
    return found


def _read_flat(folder: Path, names: list[str], split: str) -> list[Sighting]:
    matches = [_FLAT_NAME.match(name) for name in names]
    unreadable = [name for name, match in zip(names, matches, strict=True) if match is None]
    refuse_unreadable_names(folder, unreadable, len(names), "0002_c1_000451.jpg, or a folder for each person")
    prefix = f"{folder.absolute()}{os.sep}"
    return [Sighting(prefix + match.string, match.group(1), match.group(2), split) for match in matches if match is not None]


def _read_persons(folder: Path, persons: list[Path], split: str) -> list[Sighting]:
    return [
        Sighting(f"{person.absolute()}{os.sep}{name}", person.name, "", split)
        for person in persons
        for name in image_names(person)
    ]


def _with_cameras(sightings: list[Sighting]) -> tuple[list[Sighting], tuple[str, ...]]:
    """Read cameras from file names by the one rule that fits every image; half-fitting rules would invent cameras."""
    if any(one.camera for one in sightings):
        return sightings, ()
    for rule, said in ((_CAMERA_WORD.search, "as c<number>"), (_LEADING_DIGITS.match, "as the digits they begin with")):
        matches = [rule(one.path.rpartition(os.sep)[2]) for one in sightings]
        cameras = [match.group(1) for match in matches if match is not None]
        persons = [one.person for one in sightings]
        if len(cameras) == len(persons) and cameras != persons and len(set(cameras)) <= _MOST_CAMERAS:
            read = [replace(one, camera=camera) for one, camera in zip(sightings, cameras, strict=True)]
            return read, (f"cameras were read from the file names, {said}.",)
    return sightings, ()


def _no_layout(path: Path) -> str:
    there = sorted(child.name for child in path.iterdir())
    return (
        f"{path} has none of the layouts that are read: train/<person>/<file> with query/ and gallery/ beside it, "
        "bounding_box_train/0002_c1_000451.jpg with query/ and bounding_box_test/, or <person>/<file> for training only. "
        f"There are {len(there):,} entries{', such as ' + repr(there[0]) if there else ''}. "
        "Any other layout can be described with DATASETS.NAMES csv:FILE (columns path, person, camera, split)."
    )
