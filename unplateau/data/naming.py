"""Short names for data sets that differ: two folders called `test` would share a line of every table and report."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from unplateau.data.items import DatasetFiles, Item


def named_apart(sets: Mapping[str, DatasetFiles]) -> dict[str, DatasetFiles]:
    """Return the data sets with names that differ; folders and tables of one name get their parent folders' names before it.

    Args:
        sets: by `folder:PATH`, `csv:FILE` with absolute paths, or by the name they were asked for.
    """
    names = {key: files.name for key, files in sets.items()}
    deepest = max((len(Path(key).parts) for key in sets), default=0)
    for depth in range(2, deepest + 1):
        clashing = _clashing(names)
        names = {key: _longer(key, depth) or name if name in clashing else name for key, name in names.items()}
    clashing = _clashing(names)
    names = {key: f"{name}_{number}" if name in clashing else name for number, (key, name) in enumerate(names.items(), start=1)}
    return {key: _called(files, names[key]) for key, files in sets.items()}


def _clashing(names: Mapping[str, str]) -> set[str]:
    return {name for name, count in Counter(names.values()).items() if count > 1}


def _longer(key: str, depth: int) -> str:
    kind, _, place = key.partition(":")
    if kind not in ("folder", "csv"):
        return ""
    path = Path(place)
    return "_".join([*path.parent.parts[1:], path.stem if kind == "csv" else path.name][-depth:])


def _called(files: DatasetFiles, name: str) -> DatasetFiles:
    if files.name == name:
        return files
    train, query, gallery = (
        tuple(Item(item.path, item.person_id, item.camera_id, name) for item in part)
        for part in (files.train, files.query, files.gallery)
    )
    return replace(files, name=name, train=train, query=query, gallery=gallery)
