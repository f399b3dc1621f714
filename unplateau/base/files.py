"""Files written whole or not at all, and JSON lines that survive a crash. Knows nothing of what is in them."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_REPLACE_ATTEMPTS = 8  # Windows refuses to replace a file that a viewer or virus scanner holds open for a moment
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
        temporary.unlink(missing_ok=True)


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
    with path.open("a+b") as stream:
        if stream.seek(0, os.SEEK_END) and not _ends_with_newline(stream):
            stream.write(b"\n")
        stream.write(line.encode())
        stream.flush()
        os.fsync(stream.fileno())


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON-lines file; lines that are torn or are no object are left out."""
    if not path.exists():
        return []
    records = (_parse(line) for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    return [record for record in records if isinstance(record, dict)]


def read_json(path: Path) -> Any:
    """Return the content of a JSON file. Raises OSError, or ValueError: it is no JSON, no UTF-8, or nested without end."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
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
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())


def move(source: Path, target: Path) -> None:
    """Rename `source` to `target`, over a file or to a free name; where Windows refuses, try again for some seconds.

    Raises:
        OSError: it cannot be done.
    """
    wait_seconds = _FIRST_WAIT_SECONDS
    for attempt in range(_REPLACE_ATTEMPTS):
        try:
            source.replace(target)
            return
        except PermissionError:
            if attempt == _REPLACE_ATTEMPTS - 1:
                raise
            time.sleep(wait_seconds)
            wait_seconds *= 2


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


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):  # a number of thousands of digits is a ValueError of another kind
        return None


def _ends_with_newline(stream: Any) -> bool:
    stream.seek(-1, os.SEEK_END)
    return bool(stream.read(1) == b"\n")
