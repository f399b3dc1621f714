"""A data set of the user's own, `package.module:function`: called with the root folder, and what it returns looked over."""

from dataclasses import replace
from pathlib import Path

from unplateau.base.errors import DataError
from unplateau.base.own_code import import_own
from unplateau.data.items import DISTRACTOR, DatasetFiles, Item


def read_own(name: str, root: Path) -> DatasetFiles:
    """Call the user's function.

    Args:
        name: `package.module:function`; modules in the working directory are found too.
        root: the folder that holds the data sets, handed to the function.

    Raises:
        ConfigError: there is no such function.
        DataError: it returns something else, or persons that cannot be looked for.
    """
    files = import_own(name, key="DATASETS")(root)
    if not isinstance(files, DatasetFiles):
        raise DataError(f"{name} returned {type(files).__name__}; expected unplateau.data.items.DatasetFiles.")
    train, query, gallery = (
        _checked(name, split, items)
        for split, items in (("train", files.train), ("query", files.query), ("gallery", files.gallery))
    )
    return replace(files, train=train, query=query, gallery=gallery)


def _checked(name: str, split: str, items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Return the items with paths as this system writes them."""
    wrong = [item for item in items if not isinstance(item, Item)]
    if wrong:
        raise DataError(f"{name} gave {split} images of type {type(wrong[0]).__name__}; expected unplateau.data.items.Item.")
    lowest = DISTRACTOR if split == "gallery" else DISTRACTOR + 1
    low = [item for item in items if item.person_id < lowest]
    if low:
        raise DataError(
            f"{name} gave {len(low):,} {split} images with a person below {lowest}, such as {low[0]}. Number persons from 1: "
            "0 is a distractor and stands in the gallery only; leave junk out."
        )
    return tuple(replace(item, path=str(Path(item.path).absolute())) for item in items)
