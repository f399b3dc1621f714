"""Which pictures PlateauBench trains on: the standard drawn persons, or, kept and reported apart, photographs.

Photographs are read where the user has them (docs/plateaubench.md, "Other data"); nothing of them is kept in the repository.
How they are divided and decoded: `recipe`.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unplateau.base.errors import DataNotFoundError
from unplateau.data.drawn import draw_once
from unplateau.data.items import Found, Item
from unplateau.data.user_cache import user_cache_folder

STANDARD = "minimarket"
_PKU = "pku_reid_74"


@dataclass(frozen=True)
class DataSet:
    """One set of pictures, and how many of its persons are trained on and looked for.

    Attributes:
        title: what reports call it.
        name: gives its name as in DATASETS.NAMES; may unpack an archive.
        items: the pictures to divide, of all that was found.
        num_trained: persons.
        num_held_out: persons.
        where: how to have it found; empty for what is drawn.
    """

    title: str
    name: Callable[[], str]
    items: Callable[[Found], tuple[Item, ...]]
    num_trained: int
    num_held_out: int
    where: str = ""


def trained_persons(found: Found) -> tuple[Item, ...]:
    """Return the training images; the set's own test persons stay untouched."""
    return tuple(item for item in found.train if item.person_id > 0)


def all_persons(found: Found) -> tuple[Item, ...]:
    """Return training, query and gallery images, each once: a set too small to leave persons out, whose gallery holds copies."""
    items = (*found.train, *(item for test in found.tests for part in (test.query, test.gallery) for item in part))
    return tuple({(item.person_id, Path(item.path).name): item for item in items if item.person_id > 0}.values())


def pku_name() -> str:
    """Return the PKU set as DATASETS.NAMES has it: a folder below $REID_DATA, else $REID_ARCHIVES unpacked to the user's cache.

    Raises:
        DataNotFoundError: neither is there.
    """
    data, archives = os.environ.get("REID_DATA", ""), os.environ.get("REID_ARCHIVES", "")
    if data and (Path(data) / _PKU).is_dir():
        return f"folder:{Path(data) / _PKU}"
    archive = Path(archives) / f"{_PKU}.tar.gz"
    if not archives or not archive.is_file():
        raise DataNotFoundError(
            f"There is neither a folder {_PKU} in REID_DATA ({data or 'not set'}) nor {archive.name} in REID_ARCHIVES "
            f"({archives or 'not set'}). Set one of them to the folder that holds it."
        )
    folder = user_cache_folder() / "plateaubench" / f"{_PKU}-{archive.stat().st_size}"
    if not folder.is_dir():
        draw_once(folder, lambda part: _unpack(archive, part))
    return f"folder:{folder / _PKU}"


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


DATA: dict[str, DataSet] = {
    STANDARD: DataSet("MiniMarket", lambda: "MiniMarket", trained_persons, 60, 40),
    "market1501mini": DataSet("Market-1501 mini", lambda: "Market1501Mini", trained_persons, 60, 40,
                              "set REID_DATA to the folder that holds Market-1501-v15.09.15"),
    "pku": DataSet("the PKU set of 74 persons", pku_name, all_persons, 50, 24,
                   f"set REID_ARCHIVES to the folder that holds {_PKU}.tar.gz, or REID_DATA to the one that holds it unpacked"),
}  # fmt: skip
