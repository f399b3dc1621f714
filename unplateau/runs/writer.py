"""Writes a run folder. What a file is called is `layout`'s business; what a text says is the report layer's."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from unplateau.base.files import (
    append_json_line,
    read_json_lines,
    remove,
    remove_leftovers,
    replacing,
    write_json,
    write_text,
)
from unplateau.runs.layout import RunFolder
from unplateau.runs.record import SCHEMA_VERSION, EpochRecord, Measurement, StopReason, to_plain

_ROOM_BYTES = 64 * 1024  # the files of an end take some 10 KB


class RunWriter:
    """The one writer of a run folder's records. Every file is whole at every moment; `metrics.jsonl` only grows."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        folder.path.mkdir(parents=True, exist_ok=True)

    def config(self, yaml_text: str) -> None:
        write_text(self.folder.config, yaml_text)

    def epoch(self, record: EpochRecord) -> None:
        """Append the epoch to `metrics.jsonl` and write `training_history.json` anew."""
        append_json_line(self.folder.metrics, {"schema": SCHEMA_VERSION, **to_plain(record)})
        self.history()

    def history(self) -> None:
        """Write `training_history.json` from `metrics.jsonl`: one entry an epoch, the last writing of each counts."""
        write_json(
            self.folder.history, {"schema": SCHEMA_VERSION, "epochs": latest_by_epoch(read_json_lines(self.folder.metrics))}
        )

    def going_on_after(self, epoch: int) -> None:
        """Take back, by a line of its own, later epochs that a broken-off training recorded: they are trained again."""
        if any(line["epoch"] > epoch for line in latest_by_epoch(read_json_lines(self.folder.metrics))):
            append_json_line(self.folder.metrics, {"schema": SCHEMA_VERSION, "goes_on_after": epoch})
            self.history()

    def measurements(self, measurements: Sequence[Measurement]) -> None:
        for measurement in measurements:
            append_json_line(self.folder.probes, to_plain(measurement))

    def average_precision(self, arrays: dict[str, np.ndarray]) -> None:
        """Write per-query average precision; one array a protocol and data set, NaN where a query has no match."""
        with replacing(self.folder.average_precision) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]

    def info(self, info: dict[str, Any]) -> None:
        write_json(self.folder.model_info, {"schema": SCHEMA_VERSION, **info})

    def stop(self, reason: StopReason, text: str) -> None:
        """Write the stopping reason, for people and for programs. The record comes last: with it, a run has ended."""
        write_text(self.folder.stopping_reason, text)
        write_json(self.folder.stop_record, {"schema": SCHEMA_VERSION, **to_plain(reason)})

    def running(self) -> None:
        """Remove the stopping reason of an earlier part of this run: it is running again. What a kill left half written goes."""
        remove_leftovers(self.folder.path)
        remove(self.folder.stop_record)
        remove(self.folder.stopping_reason)
        self.folder.room.write_bytes(b"\1" * _ROOM_BYTES)  # no zeros: a file system may keep none of those

    def make_room(self) -> None:
        """Give back what was kept free for the end's files, so that a full disk still takes the stopping reason."""
        with suppress(OSError):  # nothing that an end may fail for
            remove(self.folder.room)


def latest_by_epoch(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry an epoch in order; where an epoch was repeated after a crash, the later one.

    A line with `goes_on_after` takes back every epoch after that one.

    >>> latest_by_epoch([{"epoch": 1, "mAP": 0.1}, {"epoch": 2, "mAP": 0.2}, {"epoch": 2, "mAP": 0.3}])
    [{'epoch': 1, 'mAP': 0.1}, {'epoch': 2, 'mAP': 0.3}]
    >>> latest_by_epoch([{"epoch": 1}, {"epoch": 2}, {"goes_on_after": 1}])
    [{'epoch': 1}]
    """
    by_epoch: dict[int, dict[str, Any]] = {}
    for line in lines:
        if isinstance(line.get("epoch"), int):
            by_epoch[line["epoch"]] = line
        elif isinstance(last := line.get("goes_on_after"), int):
            by_epoch = {epoch: entry for epoch, entry in by_epoch.items() if epoch <= last}
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]
