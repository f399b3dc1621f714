"""Market-1501 in its official layout, whole and as a small subset.

Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015.

`-1_*` is junk and dropped, `0000_*` is a distractor and stays in the gallery, `c1`..`c6` become cameras 0..5.
"""

import re
from dataclasses import replace
from pathlib import Path

from unplateau.data.items import DISTRACTOR, DatasetFiles, Item
from unplateau.data.listing import FlatLayout, read_flat
from unplateau.data.locate import Place, locate
from unplateau.data.official_counts import count_notes

PLACE = Place(
    name="Market1501",
    folders=("Market-1501-v15.09.15", "Market-1501", "market1501"),
    markers=(("bounding_box_train", "query", "bounding_box_test"),),
    source='the page "Market-1501 Dataset" of Liang Zheng (Market-1501-v15.09.15.zip)',
)
LAYOUT = FlatLayout(
    name="Market1501",
    folders=("bounding_box_train", "query", "bounding_box_test"),
    pattern=re.compile(r"(-1|\d+)_c(\d+)"),
    example="0002_c1s1_000451_03.jpg",
)
MINI_IDENTITIES = 150  # of training and of test: a run of minutes on a CPU that still behaves like Market-1501


def read(root: Path) -> DatasetFiles:
    """Read Market-1501. Raises DataNotFoundError and DataError."""
    files = read_flat(locate(PLACE, root), LAYOUT)
    return replace(files, notes=count_notes(files))


def read_mini(root: Path) -> DatasetFiles:
    """Read the images of the 150 lowest training and the 150 lowest test identities of Market-1501, without distractors."""
    whole = read_flat(locate(PLACE, root), LAYOUT)
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
