"""Reads run folders, finished, running or broken off, without torch."""

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unplateau.base.archives import refuse_bomb
from unplateau.base.errors import RecordError
from unplateau.base.files import read_json, read_json_lines
from unplateau.base.locks import FileLock
from unplateau.runs.layout import RunFolder, is_run_folder
from unplateau.runs.record import EpochRecord, StopReason, from_plain
from unplateau.runs.writer import latest_by_epoch

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunRecord:
    """What a run folder says about itself."""

    folder: RunFolder
    epochs: tuple[EpochRecord, ...]
    stop: StopReason | None
    info: dict[str, Any]

    @property
    def best(self) -> EpochRecord | None:
        """The epoch with the highest validation mAP, the earliest of equals; None where nothing was validated."""
        scored = [epoch for epoch in self.epochs if epoch.validation is not None and _is_score(epoch.validation.mAP)]
        return max(scored, key=lambda epoch: epoch.validation.mAP if epoch.validation else -1.0, default=None)


def _is_score(value: float | None) -> bool:
    """NaN is written as null, and compares with nothing."""
    return value is not None and math.isfinite(value)


def read_run(path: Path) -> RunRecord:
    """Return the record of the run in `path`; a torn last line, or files not written yet, are no error.

    Raises:
        RecordError: the folder holds no run.
    """
    folder = RunFolder(path)
    if not is_run_folder(path):
        raise RecordError(f"{path} holds no run: neither {folder.metrics.name} nor {folder.config.name} with {folder.log.name}.")
    epochs = []
    for line in latest_by_epoch(read_json_lines(folder.metrics)):
        try:
            epochs.append(from_plain(EpochRecord, line))
        except RecordError as problem:
            _log.warning("%s: the line of epoch %s is damaged and left out (%s).", folder.metrics, line.get("epoch"), problem)
    return RunRecord(folder, tuple(epochs), read_stop(folder), _read_dict(folder.model_info))


def read_average_precision(folder: RunFolder) -> dict[str, np.ndarray]:
    """Return the arrays of `average_precision.npz` by name; empty where there are none, or where they cannot be read (logged)."""
    path = folder.average_precision
    if not path.is_file():
        return {}
    try:
        refuse_bomb(path)
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:  # NumPy leaves a damaged file open
            return dict(arrays)
    except Exception as problem:  # noqa: BLE001 - of damaged bytes zipfile, zlib and NumPy raise a dozen kinds
        _log.warning("%s cannot be read, so its intervals are lost: %s", path, problem)
        return {}


def read_stop(folder: RunFolder) -> StopReason | None:
    """Return how the run ended, or None where it has not ended, or was killed."""
    plain = _read_dict(folder.stop_record)
    try:
        return from_plain(StopReason, plain) if "code" in plain else None
    except RecordError as problem:
        _log.warning("%s is damaged and counts as missing (%s).", folder.stop_record, problem)
        return None


def is_running(folder: RunFolder) -> bool:
    """Return whether a process of this machine is training into `folder` now."""
    return FileLock(folder.lock).is_held()


def find_runs(root: Path) -> list[RunFolder]:
    """Return the run folders at or below `root`, the newest first."""
    if not root.is_dir():
        return []
    places = {root} | {file.parent for pattern in ("metrics.jsonl", "config.yml") for file in root.rglob(pattern)}
    folders = [RunFolder(place) for place in places if is_run_folder(place)]
    return sorted(folders, key=lambda folder: (-_modified(folder), str(folder.path)))


def _modified(folder: RunFolder) -> float:
    existing = [file for file in (folder.metrics, folder.log, folder.config) if file.exists()]
    return max(file.stat().st_mtime for file in existing)


def _read_dict(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
