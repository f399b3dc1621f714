"""Scalars of TensorBoard event files, read without TensorBoard: TFRecord framing and the few protobuf fields that hold a scalar.

Event: 2 step, 5 summary. Summary: 1 value. Value: 1 tag, 2 simple_value, 8 tensor. TensorProto: 1 dtype, 4 tensor_content,
5 float_val, 6 double_val (tensorflow/core/util/event.proto, framework/summary.proto, framework/tensor.proto).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from unplateau.runs.foreign_logs.names import canonical, columns_map, percent_series
from unplateau.runs.foreign_logs.text_lines import counted
from unplateau.runs.foreign_logs.training_log import MAX_POINTS, LogBuilder, LogPoint, TrainingLog

TRAINER = "TensorBoard"
_LARGEST_RECORD = 1 << 28  # images and histograms are skipped, damaged lengths are not believed
_MOST_STEPS = 4 * MAX_POINTS  # neighbours are averaged above it
_LONGEST_VARINT = 63  # bits before its last byte: ten bytes
_FLOAT, _DOUBLE = 1, 2  # tensor dtypes


def looks_like(path: Path) -> bool:
    """Return whether `path` is a TensorBoard event file."""
    if "tfevents" in path.name:
        return True
    with path.open("rb") as stream:
        start = stream.read(64)
    return b"brain.Event:" in start


def read(path: Path, given: dict[str, str]) -> TrainingLog:
    """Read the scalars of an event file; of several tags with one meaning the first counts.

    Args:
        path: the event file; a cut last record is left out.
        given: tag -> our name, for tags that are not recognised.
    """
    rows: dict[int, dict[str, float]] = {}
    tags: dict[str, None] = {}
    for step, tag, value in _scalars(path):
        rows.setdefault(step, {})[tag] = value
        if len(rows) > _MOST_STEPS:
            rows = _halved(rows)
        tags[tag] = None
    chosen = columns_map([tag for tag in tags if canonical(tag) != "iteration"], given)
    largest = {ours: max((row[tag] for row in rows.values() if tag in row), default=0.0) for tag, ours in chosen.items()}
    return _assembled(path, rows, chosen, percent_series(largest))


def _assembled(path: Path, rows: dict[int, dict[str, float]], chosen: dict[str, str], percent: tuple[str, ...]) -> TrainingLog:
    builder = LogBuilder()
    epoch: int | None = None
    for step in sorted(rows):
        values = {chosen[tag]: value for tag, value in rows[step].items() if tag in chosen}
        values = {name: value / 100 if name in percent else value for name, value in values.items()}
        found = counted(values.pop("epoch", None))
        epoch = found + 1 if found is not None else epoch  # loggers write epochs from 0
        if values:
            builder.add(LogPoint(epoch, step, values))
    for name in percent:
        builder.note(f"{name} was above 1 and was taken as percent")
    unused = sorted({tag for row in rows.values() for tag in row} - set(chosen))
    if unused:
        builder.note("tags left out: " + ", ".join(unused[:12]) + ("" if len(unused) <= 12 else ", ..."))
    return TrainingLog(TRAINER, str(path), builder.finish(), notes=tuple(builder.notes))


def _halved(rows: dict[int, dict[str, float]]) -> dict[int, dict[str, float]]:
    """Every two neighbouring steps as one, at the place of the later."""
    steps = sorted(rows)
    merged = {}
    for first, last in zip_longest(steps[::2], steps[1::2]):
        one, other = rows[first], rows[first if last is None else last]
        both = {tag: (one[tag] + other[tag]) / 2 for tag in one if tag in other}
        merged[first if last is None else last] = {**one, **other, **both}
    return merged


def _scalars(path: Path) -> Iterator[tuple[int, str, float]]:
    for record in _records(path):
        step, summaries = 0, []
        for field, value in _fields(record):
            if field == 2 and isinstance(value, int):
                step = value
            elif field == 5 and isinstance(value, bytes):
                summaries.append(value)
        for summary in summaries:
            for field, entry in _fields(summary):
                if field == 1 and isinstance(entry, bytes):
                    tag, scalar = _scalar(entry)
                    if scalar is not None:
                        yield step, tag, scalar


def _scalar(entry: bytes) -> tuple[str, float | None]:
    tag, scalar = "", None
    for field, value in _fields(entry):
        if field == 1 and isinstance(value, bytes):
            tag = value.decode("utf-8", errors="replace")
        elif field == 2 and isinstance(value, float):
            scalar = value
        elif field == 8 and isinstance(value, bytes) and scalar is None:
            scalar = _tensor_scalar(value)
    return tag, scalar


def _tensor_scalar(tensor: bytes) -> float | None:
    dtype, content = 0, b""
    for field, value in _fields(tensor):
        if field == 1 and isinstance(value, int):
            dtype = value
        elif field in (4, 5, 6) and isinstance(value, bytes):
            content = value
        elif field in (5, 6) and isinstance(value, float):
            return value
    if dtype == _FLOAT and len(content) == 4:
        return float(struct.unpack("<f", content)[0])
    return float(struct.unpack("<d", content)[0]) if dtype == _DOUBLE and len(content) == 8 else None


def _records(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while len(head := stream.read(12)) == 12:
            length = struct.unpack("<Q", head[:8])[0]
            if length > _LARGEST_RECORD:
                return
            body = stream.read(length + 4)
            if len(body) < length + 4:
                return
            yield body[:length]


def _fields(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Yield (field number, value) of a protobuf message; stops quietly where it is cut."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        field, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(message, place)
            yield field, value
        elif wire == 1 and place + 8 <= len(message):
            yield field, float(struct.unpack_from("<d", message, place)[0])
            place += 8
        elif wire == 2:
            length, place = _varint(message, place)
            yield field, message[place : place + length]
            place += length
        elif wire == 5 and place + 4 <= len(message):
            yield field, float(struct.unpack_from("<f", message, place)[0])
            place += 4
        else:
            return


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """Return (value, place after it); a value without end is damage, and nothing after it is read."""
    value = shift = 0
    while place < len(message):
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, place
        if shift > _LONGEST_VARINT:
            break
    return value, len(message)
