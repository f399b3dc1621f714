"""Images listed in a table, `csv:FILE`: columns path, person, camera (optional) and split (optional; train, query or gallery)."""

import csv
import os
from collections import Counter
from pathlib import Path

from unplateau.base.errors import DataError, DataNotFoundError
from unplateau.data.identify import SPLITS, Sighting, identify
from unplateau.data.items import DatasetFiles
from unplateau.data.listing import sizes_of

_COLUMNS = {  # what people call them
    "path": ("path", "file", "filename", "image", "image_path"),
    "person": ("person", "person_id", "pid", "identity", "vehicle"),
    "camera": ("camera", "camera_id", "camid", "cam"),
    "split": ("split", "subset", "set"),
}
_DELIMITERS = (",", ";", "\t")  # spreadsheets of half of Europe write semicolons


def read_table(path: Path) -> DatasetFiles:
    """Read the images a CSV file lists; relative paths start at the file's own folder.

    Raises:
        DataNotFoundError: there is no such file.
        DataError: columns are missing, rows are not complete, or listed images are not there.
    """
    if not path.is_file():
        raise DataNotFoundError(
            f"csv:{path}: there is no such file ({path.absolute()}). Give one as in DATASETS.NAMES csv:/data/mine.csv "
            "(Windows: csv:D:\\data\\mine.csv); a relative path is looked for here and under DATASETS.ROOT."
        )
    header, rows = _rows(path)
    columns = _columns(path, header)
    complete = [_sighting(path, number, row, columns) for number, row in rows]
    used = [one for one in complete if one.split in SPLITS]
    if not used:
        raise DataError(f"{path} lists no image of split train, query or gallery{_other_splits(complete)}.")
    _refuse_missing(path, used)
    unused = len(complete) - len(used)
    note = (f"{unused:,} rows of other splits are not used{_other_splits(complete)}.",) if unused else ()
    return identify(path.stem, used, note)


def _rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    text = path.read_text(encoding="utf-8-sig", errors="replace")  # spreadsheets put a byte-order mark first
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    try:
        rows = list(enumerate(csv.reader(text.splitlines(), delimiter=delimiter), start=1))
    except csv.Error as error:
        raise DataError(f"{path} is no table: {error}. Expected a line path,person,camera,split for each image.") from error
    if not rows:
        raise DataError(f"{path} is empty; expected a first line 'path,person,camera,split' and a line for each image.")
    return [name.strip().lower() for name in rows[0][1]], [(number, row) for number, row in rows[1:] if any(row)]


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    found = {
        column: header.index(name)
        for column, names in _COLUMNS.items()
        if (name := next((n for n in names if n in header), None))
    }
    missing = [column for column in ("path", "person") if column not in found]
    if missing:
        raise DataError(
            f"{path} line 1: there is no column {' or '.join(missing)} among {', '.join(header)}. "
            "Expected path, person, camera (may be left out) and split (may be left out: all is training)."
        )
    return found


def _sighting(table: Path, number: int, row: list[str], columns: dict[str, int]) -> Sighting:
    values = {column: row[place].strip() for column, place in columns.items() if place < len(row)}
    if not values.get("path") or not values.get("person"):
        raise DataError(f"{table} line {number}: path or person is empty in {row!r}. Fill it in, or take the line out.")
    split = values.get("split", "train").replace("\\", "/").lower()
    image = str(table.absolute().parent / values["path"].replace("\\", os.sep).replace("/", os.sep))
    camera = values.get("camera", "")
    return Sighting(image, values["person"], "" if camera == "-1" else camera, split.rpartition("/")[2])


def _refuse_missing(table: Path, sightings: list[Sighting]) -> None:
    sizes = sizes_of([one.path for one in sightings])
    missing = [one.path for one, size in zip(sightings, sizes, strict=True) if size < 0]
    if missing:
        raise DataError(
            f"{table}: {len(missing):,} of {len(sightings):,} listed images are not there, such as {missing[0]}. "
            f"Paths are relative to {table.absolute().parent}, the table's own folder."
        )


def _other_splits(sightings: list[Sighting]) -> str:
    others = Counter(one.split for one in sightings if one.split not in SPLITS)
    return f" (there are {', '.join(f'{count:,} of {split!r}' for split, count in sorted(others.items()))})" if others else ""
