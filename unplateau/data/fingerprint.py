"""What identifies a set of images across machines: names, sizes, persons and cameras, never where they lie."""

import hashlib
import os
from collections.abc import Sequence

from unplateau.data.items import Found, Item
from unplateau.data.listing import sizes_of

_LENGTH = 16  # hexadecimal digits: enough to tell data sets apart, short enough to read aloud


def fingerprint(items: Sequence[Item]) -> str:
    """Return a short hash of file names, byte sizes, persons and cameras; the order of the items does not matter."""
    return _hash(_lines(items, "items"))


def fingerprint_found(found: Found) -> str:
    """Return a short hash of all images of a run and of the split each of them is in."""
    lines = _lines(found.train, "train")
    for number, test in enumerate(found.tests):
        lines += _lines(test.query, f"query{number}") + _lines(test.gallery, f"gallery{number}")
    return _hash(lines)


def _lines(items: Sequence[Item], split: str) -> list[str]:
    sizes = sizes_of([item.path for item in items])
    return [
        f"{split}/{item.path.rpartition(os.sep)[2]}/{size}/{item.person_id}/{item.camera_id}"
        for item, size in zip(items, sizes, strict=True)
    ]


def _hash(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()[:_LENGTH]
