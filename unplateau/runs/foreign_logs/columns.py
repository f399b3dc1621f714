"""CSV and JSON-lines logs of any trainer, with a column map for names that are not recognised."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from unplateau.base.errors import RecordError
from unplateau.runs.foreign_logs.names import SERIES_WITH_PLACES, canonical, columns_map, percent_series
from unplateau.runs.foreign_logs.text_lines import count, counted, decimal, number, text_lines
from unplateau.runs.foreign_logs.training_log import LogBuilder, LogPoint, TrainingLog

_DELIMITERS = ",;\t|"
_DEEPEST = 20  # objects within objects
Row = dict[str, float]


def looks_like_json_lines(lines: list[str]) -> bool:
    """Return whether most non-empty lines are JSON objects."""
    filled = [line for line in lines[:50] if line.strip()]
    objects = [line for line in filled if _object(line) is not None]
    return bool(filled) and len(objects) * 2 > len(filled)


def looks_like_csv(lines: list[str]) -> bool:
    """Return whether a header with a known column is followed by a row of numbers."""
    header = _header(lines)
    return header is not None and any(canonical(name) for name in header[1])


def is_header_alone(lines: list[str]) -> bool:
    """Return whether there is one line, and it names a column that is known."""
    filled = [line for line in lines if line.strip() and not line.startswith("#")]
    return len(filled) == 1 and any(canonical(name.strip()) for name in filled[0].split(max(_DELIMITERS, key=filled[0].count)))


def read_json_lines(path: Path, given: Mapping[str, str]) -> TrainingLog:
    """Read JSON objects, one a line; nested objects become names with dots.

    Raises:
        RecordError: no column is recognised and none is given.
    """
    builder = LogBuilder()
    rows = (_numbers(record) for record in map(_object, text_lines(path)) if record is not None)
    return _assembled(path, "JSON lines", rows, given, builder)


def read_csv(path: Path, given: Mapping[str, str]) -> TrainingLog:
    """Read a table with a header; the separator is one of , ; tab |, and # begins a comment line. Decimal commas are read too;
    in a column of steps a comma before three digits parts thousands.

    Raises:
        RecordError: no column is recognised and none is given.
    """
    builder = LogBuilder()
    return _assembled(path, "CSV", _csv_rows(path, given), given, builder)


def _csv_rows(path: Path, given: Mapping[str, str]) -> Iterator[Row]:
    lines = (line for line in text_lines(path) if line.strip() and not line.startswith("#"))
    first = next(lines, "")
    delimiter = max(_DELIMITERS, key=first.count)
    header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    counted = {name for name, ours in columns_map(header, given).items() if ours == "iteration"}
    for cells in _cells(path, lines, delimiter):
        pairs = zip(header, cells, strict=False)
        values = {name: (count if name in counted else decimal)(cell.strip()) for name, cell in pairs}
        yield {name: value for name, value in values.items() if value is not None}


def _cells(path: Path, lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(lines, delimiter=delimiter)
    except csv.Error as problem:  # a quotation mark that is never closed makes one cell of all that follows
        raise RecordError(
            f"{path} cannot be read as a table: {problem}. Look for a quotation mark that is not closed."
        ) from problem


def _assembled(path: Path, kind: str, rows: Iterable[Row], given: Mapping[str, str], builder: LogBuilder) -> TrainingLog:
    """Two passes over bounded points: rows keep their own names until all names are known."""
    names: dict[str, None] = {}
    raw = LogBuilder()
    for place, row in enumerate(rows):
        names.update(dict.fromkeys(row))
        raw.add(LogPoint(None, place, row))
    chosen = columns_map(list(names), given)
    missing = [theirs for theirs in given if theirs not in names]
    if missing:
        raise RecordError(f"{path} has no column {', '.join(missing)}. Its columns: {', '.join(names) or 'none'}.")
    if not set(chosen.values()) & set(SERIES_WITH_PLACES):
        raise RecordError(
            f"{path}: none of its columns is recognised ({', '.join(names) or 'none with numbers'}). "
            "Say which is which with --columns, such as --columns my_loss=total,xe=cross_entropy,tri=triplet,ep=epoch."
        )
    points = raw.finish()
    largest = {ours: max((point.values.get(name, 0.0) for point in points), default=0.0) for name, ours in chosen.items()}
    percent = percent_series(largest)
    offset = _epoch_offset([point.values for point in points], chosen)
    for point in points:
        _add(builder, point.values, chosen, percent, offset)
    for note in [*raw.notes, *(f"{name} was above 1 and was taken as percent" for name in percent)]:
        builder.note(note)
    return TrainingLog(kind, str(path), builder.finish(), notes=tuple(builder.notes))


def _epoch_offset(rows: list[Row], chosen: Mapping[str, str]) -> int:
    """1 where epochs count from 0: the row of epoch 0 then holds a loss, and not only the score of an untrained net."""
    epoch = next((name for name, ours in chosen.items() if ours == "epoch"), "")
    losses = [name for name, ours in chosen.items() if ours in ("total", "cross_entropy", "triplet")]
    return int(any(epoch in row and row[epoch] == 0 and any(name in row for name in losses) for row in rows))


def _add(builder: LogBuilder, row: Row, chosen: Mapping[str, str], percent: tuple[str, ...], epoch_offset: int) -> None:
    values = {ours: row[name] / (100 if ours in percent else 1) for name, ours in chosen.items() if name in row}
    epoch, iteration = values.pop("epoch", None), values.pop("iteration", None)
    if values:
        place = counted(epoch)
        builder.add(LogPoint(None if place is None else place + epoch_offset, counted(iteration), values))


def _object(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _numbers(record: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Row:
    row: Row = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            row.update(_numbers(value, f"{prefix}{name}.", depth + 1) if depth < _DEEPEST else {})
        elif isinstance(value, (int, float, str)) and not isinstance(value, bool):
            found = decimal(str(value))
            if found is not None:
                row[prefix + name] = found
    return row


def _header(lines: list[str]) -> tuple[str, list[str]] | None:
    filled = [line for line in lines if line.strip() and not line.startswith("#")]
    if len(filled) < 2:
        return None
    delimiter = max(_DELIMITERS, key=filled[0].count)
    names = [name.strip() for name in filled[0].split(delimiter)]
    cells = [cell.strip() for cell in filled[1].split(delimiter)]
    if len(names) < 2 or any(number(name) is not None for name in names) or not any(decimal(cell) is not None for cell in cells):
        return None
    return delimiter, names
