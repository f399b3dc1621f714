"""Files written whole or not at all, and JSON lines that survive a crash. Knows nothing of what is in them."""

import errno
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

_log = logging.getLogger(__name__)
T = TypeVar("T")

LARGEST_RECORD_BYTES = 64 << 20
"""Of a file of JSON that is read: a run of 20,000 epochs has less, and what is larger would take gigabytes of memory."""
_PARTS = ".*.[0-9]*.part"  # as `replacing` names them
_ATTEMPTS = 8  # Windows refuses what is to be done with a file that a viewer or virus scanner holds open for a moment
_FIRST_WAIT_SECONDS = 0.05


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; on a clean exit it is synced to disk and takes the place of `path`.

    Raises:
        OSError: the disk is full, or the folder cannot be written to. `path` is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        sync(temporary)
        move(temporary, path)
    finally:
        with suppress(OSError):  # held open elsewhere: `remove_leftovers` takes it away
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, *, is_deep: bool = True) -> None:
    """Remove what killed processes left half written in `folder`, and below it too where `is_deep`.

    Only for the one that alone writes there, such as who holds its lock: a file that is being written looks the same.
    """
    for leftover in leftovers(folder, is_deep=is_deep):
        with suppress(OSError):
            if leftover.is_file():  # a folder of that name is an export that was cut short
                leftover.unlink()


def leftovers(folder: Path, *, is_deep: bool = True) -> Iterator[Path]:
    """Yield what looks half written in `folder`, and below it too where `is_deep`; it may be being written."""
    return folder.rglob(_PARTS) if is_deep else folder.glob(_PARTS)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with Unix line ends, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all. NaN and infinities become null."""
    write_text(path, json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def append_json_line(path: Path, value: dict[str, Any]) -> None:
    """Append one JSON object as a line and sync it; a torn last line of an earlier crash is closed first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(finite(value), ensure_ascii=False, allow_nan=False) + "\n"
    with patiently(lambda: path.open("a+b")) as stream:
        if stream.seek(0, os.SEEK_END) and not _ends_with_newline(stream):
            stream.write(b"\n")
        stream.write(line.encode())
        stream.flush()
        os.fsync(stream.fileno())


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON-lines file; lines that are torn or are no object are left out.

    So is what follows the first `LARGEST_RECORD_BYTES`, with a warning.
    """
    if not path.is_file():
        return []
    with path.open("rb") as stream:
        lines = stream.read(LARGEST_RECORD_BYTES).split(b"\n")
        if stream.read(1):
            _log.warning("%s has over %d MB: the rest is left out.", path, LARGEST_RECORD_BYTES >> 20)
    records = map(_parse, lines)
    return [record for record in records if isinstance(record, dict)]


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, no UTF-8, nested without end, or larger than `LARGEST_RECORD_BYTES`.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "a pipe, a device or a folder, and no plain file", str(path))  # reading could wait for ever
    with path.open("rb") as stream:
        content = stream.read(LARGEST_RECORD_BYTES + 1)
    if len(content) > LARGEST_RECORD_BYTES:
        raise ValueError(f"{path} has over {LARGEST_RECORD_BYTES >> 20} MB, which no record of ours has.")
    try:
        return json.loads(content.decode("utf-8"))
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deeply to be read.") from error


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_older(path: Path, than: Path) -> bool:
    """Return whether `path` is missing or was written before `than`."""
    return not path.exists() or (than.exists() and path.stat().st_mtime_ns < than.stat().st_mtime_ns)


def sync(path: Path) -> None:
    """Have the file's content written to disk before going on. Raises OSError."""
    with patiently(lambda: path.open("r+b")) as stream:
        os.fsync(stream.fileno())


def move(source: Path, target: Path) -> None:
    """Rename `source` to `target`, over a file or to a free name, patiently. Raises OSError: it cannot be done."""
    patiently(lambda: source.replace(target))


def remove(path: Path) -> None:
    """Remove a file if it is there, patiently. Raises OSError: it cannot be done."""
    patiently(lambda: path.unlink(missing_ok=True))


def patiently(act: Callable[[], T]) -> T:
    """Do what Windows refuses while another program has the file open: it is tried again for six seconds.

    Raises:
        OSError: it cannot be done.
    """
    wait_seconds = _FIRST_WAIT_SECONDS
    for _ in range(_ATTEMPTS - 1):
        try:
            return act()
        except PermissionError:
            time.sleep(wait_seconds)
            wait_seconds *= 2
    return act()


def finite(value: Any) -> Any:
    """Return `value` with every NaN and infinity replaced by None, so that it is valid JSON.

    >>> finite({"loss": float("nan"), "steps": (1, 2.5)})
    {'loss': None, 'steps': [1, 2.5]}
    """
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        return None
    return value


def _parse(line: bytes) -> Any:
    """Bytes that are no text are damage: with them replaced, a line could still be read, and lack what they were part of."""
    try:
        return json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):  # a number of thousands of digits is a ValueError of another kind
        return None


def _ends_with_newline(stream: Any) -> bool:
    stream.seek(-1, os.SEEK_END)
    return bool(stream.read(1) == b"\n")
