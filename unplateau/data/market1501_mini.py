"""The mini set: the part of Market-1501 that trains in minutes on a CPU and still behaves like it."""

from dataclasses import replace
from pathlib import Path

from unplateau.data.flat_sets import MARKET1501
from unplateau.data.items import DISTRACTOR, DatasetFiles, Item
from unplateau.data.official_counts import count_notes

MINI_IDENTITIES = 150  # of training and of test


def read_mini(root: Path) -> DatasetFiles:
    """Read the images of the 150 lowest training and the 150 lowest test identities of Market-1501, without distractors."""
    whole = MARKET1501.read(root)
    tested = _lowest(whole.query + whole.gallery)
    mini = DatasetFiles(
        "Market1501Mini",
        train=_of(whole.train, _lowest(whole.train)),
        query=_of(whole.query, tested),
        gallery=_of(whole.gallery, tested),
    )
    return replace(mini, notes=count_notes(mini))


def _lowest(items: tuple[Item, ...]) -> frozenset[int]:
    persons = sorted({item.person_id for item in items if item.person_id > DISTRACTOR})
    return frozenset(persons[:MINI_IDENTITIES])


def _of(items: tuple[Item, ...], persons: frozenset[int]) -> tuple[Item, ...]:
    return tuple(replace(item, dataset="Market1501Mini") for item in items if item.person_id in persons)
