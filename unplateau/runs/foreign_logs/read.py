"""Reads a log of any trainer: tells the format by content and hands the file to its reader."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from unplateau.base.errors import DataNotFoundError, RecordError
from unplateau.runs.foreign_logs import columns, fast_reid, ours, strong_baseline, tensorboard, torchreid
from unplateau.runs.foreign_logs.text_lines import first_lines
from unplateau.runs.foreign_logs.training_log import TrainingLog
from unplateau.runs.layout import RunFolder, is_run_folder

FORMATS = (
    "unplateau run folder", "fast-reid metrics.json or log.txt",
    "reid-strong-baseline / TransReID / CLIP-ReID / SOLIDER text log", "torchreid output", "TensorBoard event file",
    "JSON lines", "CSV",
)  # fmt: skip
_IN_A_FOLDER = ("metrics.json", "metrics.jsonl", "log.txt", "train_log.txt", "training_history.csv")
_CHARACTERS_TO_LOOK_AT = 4000
_MOST_STRANGE = 0.1  # of them
_LINES_TO_LOOK_AT = 20_000  # a printed model and configuration can fill thousands of lines before the first number


def read_log(path: Path, column_names: Mapping[str, str] | None = None) -> TrainingLog:
    """Return the log at `path`, whatever trainer wrote it.

    Args:
        path: a log file, an event file, or the folder of a run.
        column_names: their name -> ours, for CSV, JSON lines and TensorBoard.

    Raises:
        DataNotFoundError: there is no such file.
        RecordError: it is no log that is known, or holds no numbers.
    """
    if not path.exists():
        raise DataNotFoundError(f"--log-file {path}: there is no such file. Give a training's log, or its folder.")
    if not path.is_dir() and not path.is_file():
        raise RecordError(f"{path} is a pipe or a device, and is read more than once. Write it to a file first.")
    log = _read(path, dict(column_names or {}))
    if not log.points:
        raise RecordError(f"{path} looks like a log of {log.trainer}, but holds no training values yet.")
    return log


def _read(path: Path, given: dict[str, str]) -> TrainingLog:
    if path.is_dir():
        return _read_folder(path, given)
    if tensorboard.looks_like(path):
        return tensorboard.read(path, given)
    if path.name == "metrics.jsonl" and not given and is_run_folder(path.parent):
        return ours.read(path)
    lines = first_lines(path, _LINES_TO_LOOK_AT)
    _require_text(path, lines)
    if fast_reid.looks_like_metrics(lines) and not given:
        return fast_reid.read_metrics(path)
    if columns.looks_like_json_lines(lines):
        return columns.read_json_lines(path, given)
    if fast_reid.looks_like_text(lines):
        return fast_reid.read_text(path)
    if strong_baseline.looks_like(lines):
        return strong_baseline.read(path)
    if torchreid.looks_like(lines):
        return torchreid.read(path)
    if columns.looks_like_csv(lines) or given:
        return columns.read_csv(path, given)
    if columns.is_header_alone(lines):
        raise RecordError(f"{path} is a table with a header and no rows: the training has written no epoch into it yet.")
    raise RecordError(
        f"{path} is none of the logs that are known: {'; '.join(FORMATS)}. "
        "For another trainer, write its numbers as CSV with a header and pass --columns theirs=ours,..."
    )


def _require_text(path: Path, lines: list[str]) -> None:
    """Refuse what cannot be a log with the reason: nothing in it, or no text.

    Raises:
        RecordError: it is empty or binary.
    """
    if not any(line.strip() for line in lines):
        raise RecordError(f"{path} is empty: the training has written nothing into it yet. Look for its log elsewhere, or wait.")
    start = "".join(lines)[:_CHARACTERS_TO_LOOK_AT]
    strange = sum(character == "\ufffd" or (character < " " and character not in "\t\r\n") for character in start)
    if strange > _MOST_STRANGE * len(start):
        raise RecordError(f"{path} is no text. Give the log; two checkpoints are given by --checkpoints A B.")


def _read_folder(path: Path, given: dict[str, str]) -> TrainingLog:
    candidates = [path / name for name in _IN_A_FOLDER] + sorted(path.glob("events.out.tfevents.*"), reverse=True)
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None:
        raise DataNotFoundError(
            f"--log-file {path} is a folder without {', '.join(_IN_A_FOLDER[:3])} or events.out.tfevents.*. Name the file."
        )
    try:
        return _read(found, given)
    except RecordError:
        if is_run_folder(path) and not RunFolder(path).metrics.exists():  # not that of another trainer either
            raise _unfinished(RunFolder(path)) from None
        raise


def _unfinished(folder: RunFolder) -> RecordError:
    told = f"{folder.stopping_reason} says why it ended." if folder.stopping_reason.is_file() else "Wait for its first epoch."
    return RecordError(f"The run in {folder.path} has finished no epoch, so there is nothing to diagnose yet. {told}")
