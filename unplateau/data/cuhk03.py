"""CUHK03, new protocol (767 training and 700 test identities), labeled or detected boxes, in the two layouts that go around.

Li et al., DeepReID, CVPR 2014; protocol of Zhong et al., Re-ranking Person Re-identification with k-reciprocal Encoding,
CVPR 2017. Layouts: `cuhk03-np/{labeled,detected}` in Market-1501's style, and `images_{labeled,detected}` with
`splits_new_{labeled,detected}.json`, as torchreid and fast-reid write them. The original `.mat` file is not read.
"""

import json
import os
import re
from dataclasses import replace
from pathlib import Path, PureWindowsPath
from typing import Any

from unplateau.base.errors import DataError
from unplateau.data.items import DatasetFiles, Item
from unplateau.data.listing import FlatLayout, image_names, read_flat
from unplateau.data.locate import Place, locate
from unplateau.data.official_counts import count_notes

_FLAT = ("bounding_box_train", "query", "bounding_box_test")


def read_labeled(root: Path) -> DatasetFiles:
    """Read CUHK03 with boxes drawn by hand. Raises DataNotFoundError and DataError."""
    return _read(root, "labeled")


def read_detected(root: Path) -> DatasetFiles:
    """Read CUHK03 with boxes of a detector. Raises DataNotFoundError and DataError."""
    return _read(root, "detected")


def _read(root: Path, boxes: str) -> DatasetFiles:
    folder = locate(_place(boxes), root)
    flat = next((place for place in (folder / boxes, folder) if all((place / name).is_dir() for name in _FLAT)), None)
    files = read_flat(flat, _layout(boxes)) if flat else _read_split(folder, boxes)
    return replace(files, notes=count_notes(files))


def _name(boxes: str) -> str:
    return f"CUHK03{boxes.capitalize()}"


def _place(boxes: str) -> Place:
    return Place(
        name=_name(boxes),
        folders=("cuhk03-np", "cuhk03_np", "cuhk03", f"cuhk03-np-{boxes}"),
        markers=(tuple(f"{boxes}/{name}" for name in _FLAT), (f"images_{boxes}", f"splits_new_{boxes}.json")),
        source='"CUHK03-NP" in the repository person-re-ranking of Zhun Zhong, or the JSON splits torchreid and fast-reid write',
    )


def _layout(boxes: str) -> FlatLayout:
    return FlatLayout(_name(boxes), _FLAT, re.compile(r"(-1|\d+)_c(\d+)"), "0003_c1_21.png")


def _read_split(folder: Path, boxes: str) -> DatasetFiles:
    """Read the JSON layout. Its training persons are relabelled from 0 and its test persons are not, so test persons are
    counted on from the last training person; otherwise different people would share an id."""
    path, images = folder / f"splits_new_{boxes}.json", folder / f"images_{boxes}"
    split = _load(path)
    here = frozenset(image_names(images))
    parts = [_read_part(split, part, path, images, here) for part in ("train", "query", "gallery")]
    last_trained = max(item.person_id for item in parts[0])
    query, gallery = (tuple(replace(item, person_id=item.person_id + last_trained) for item in part) for part in parts[1:])
    return DatasetFiles(_name(boxes), parts[0], query, gallery)


def _load(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error}). Write it again, or use the folders of cuhk03-np.") from None
    split = loaded[0] if isinstance(loaded, list) and loaded else loaded
    if not isinstance(split, dict):
        raise DataError(f"{path} holds no split; expected a list with one object of train, query and gallery.")
    return split


def _read_part(split: dict[str, Any], part: str, path: Path, images: Path, here: frozenset[str]) -> tuple[Item, ...]:
    rows = split.get(part)
    if not isinstance(rows, list) or not rows:
        raise DataError(f"{path}: {part!r} is missing or empty; expected rows of [image path, person, camera].")
    items = tuple(_item(row, path, images) for row in rows)
    missing = [name for name in (Path(item.path).name for item in items) if name not in here]
    if missing:
        raise DataError(f"{path}: {len(missing):,} of {len(items):,} {part} images are not in {images}, such as {missing[0]!r}.")
    return items


def _item(row: Any, path: Path, images: Path) -> Item:
    """Read [image path, person from 0, camera from 0]; the path is of the machine that wrote the file, only its name counts."""
    try:
        name = PureWindowsPath(row[0]).name  # takes both kinds of slashes
        return Item(f"{images.absolute()}{os.sep}{name}", int(row[1]) + 1, int(row[2]), f"CUHK03{images.name[7:].capitalize()}")
    except (TypeError, ValueError, OverflowError, IndexError, KeyError):
        raise DataError(f"{path}: the row {row!r} cannot be read; expected [image path, person, camera].") from None
