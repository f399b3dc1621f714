"""VeRi-776 (vehicles) in its official layout. Liu et al., A Deep Learning-Based Approach to Progressive Vehicle Re-identification
for Urban Surveillance, ECCV 2016. Identities are vehicles; everything else is as with persons."""

import re
from dataclasses import replace
from pathlib import Path

from unplateau.data.items import DatasetFiles
from unplateau.data.listing import FlatLayout, read_flat
from unplateau.data.locate import Place, locate
from unplateau.data.official_counts import count_notes

PLACE = Place(
    name="VeRi",
    folders=("VeRi", "VeRi-776", "VeRi776"),
    markers=(("image_train", "image_query", "image_test"),),
    source='the page "VeRi dataset" of Xinchen Liu (by e-mail to its authors)',
)
LAYOUT = FlatLayout(
    name="VeRi",
    folders=("image_train", "image_query", "image_test"),
    pattern=re.compile(r"(-1|\d+)_c(\d+)"),
    example="0001_c001_00016450_0.jpg",
)


def read(root: Path) -> DatasetFiles:
    """Read VeRi-776. Raises DataNotFoundError and DataError."""
    files = read_flat(locate(PLACE, root), LAYOUT)
    return replace(files, notes=count_notes(files))
