"""What a data set is to the rest of the program: images with person, camera and split. Reads no file and knows no layout."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DISTRACTOR = 0  # gallery images of nobody in particular (Market-1501's `0000_*`); never a right answer
JUNK = -1  # images that are neither right nor wrong (Market-1501's `-1_*`); dropped when a data set is read
UNKNOWN_CAMERA = -1


@dataclass(frozen=True, slots=True)
class Item:
    """One image.

    Attributes:
        path: where the image is.
        person_id: the identity as the file name says it; 0 is a distractor and stands in galleries only.
        camera_id: the camera, from 0; -1 is unknown.
        dataset: name of the data set it comes from.
    """

    path: str
    person_id: int
    camera_id: int
    dataset: str


@dataclass(frozen=True)
class DatasetFiles:
    """One data set as it lies on disk; `notes` are sentences worth a line in the log."""

    name: str
    train: tuple[Item, ...]
    query: tuple[Item, ...]
    gallery: tuple[Item, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RetrievalItems:
    """One test set: who is looked for, and where."""

    name: str
    query: tuple[Item, ...]
    gallery: tuple[Item, ...]


@dataclass(frozen=True)
class Found:
    """All that a configuration asks for. Identities and cameras of different data sets never share an id."""

    train: tuple[Item, ...]
    tests: tuple[RetrievalItems, ...]
    notes: tuple[str, ...] = ()


def num_identities(items: Sequence[Item]) -> int:
    """Return how many persons are seen, distractors not counted.

    >>> num_identities([Item("a.jpg", 2, 0, "x"), Item("b.jpg", 2, 1, "x"), Item("c.jpg", 0, 1, "x")])
    1
    """
    return len({item.person_id for item in items if item.person_id > DISTRACTOR})


def num_cameras(items: Sequence[Item]) -> int:
    """Return how many known cameras are seen.

    >>> num_cameras([Item("a.jpg", 2, 0, "x"), Item("b.jpg", 2, -1, "x")])
    1
    """
    return len({item.camera_id for item in items if item.camera_id != UNKNOWN_CAMERA})


def spread(items: Sequence[Item], most: int) -> tuple[Item, ...]:
    """Return at most so many of the items, from the first to the last at even distances.

    >>> [item.person_id for item in spread([Item("", person, 0, "") for person in range(9)], 3)]
    [0, 4, 8]
    """
    rows = np.linspace(0, len(items) - 1, min(most, len(items))).astype(int)
    return tuple(items[row] for row in rows.tolist())
