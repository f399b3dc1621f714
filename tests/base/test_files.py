"""Files are written whole or not at all, and JSON lines survive a crash."""

import json
from pathlib import Path

import pytest

from unplateau.base.files import append_json_line, finite, read_json_lines, replacing, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "record.txt"
    write_text(path, "old")
    with pytest.raises(OSError, match="disk"), replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise OSError("disk is full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_replaced_file_that_is_open_elsewhere_is_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, attempts, original = tmp_path / "record.txt", [], Path.replace

    def refuse_twice(self: Path, target: Path) -> Path:
        attempts.append(target)
        if len(attempts) < 3:
            raise PermissionError("open in another program")
        return original(self, target)

    monkeypatch.setattr(Path, "replace", refuse_twice)
    write_text(path, "new")
    assert path.read_text() == "new"
    assert len(attempts) == 3


def test_a_torn_last_line_is_tolerated_and_the_next_line_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append_json_line(path, {"epoch": 1})
    with path.open("ab") as stream:
        stream.write(b'{"epoch": 2, "loss": 3.')
    assert read_json_lines(path) == [{"epoch": 1}]
    append_json_line(path, {"epoch": 2})
    assert read_json_lines(path) == [{"epoch": 1}, {"epoch": 2}]


def test_lines_that_hold_no_object_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"a": 1}\n[1, 2]\n7\n\xff\xfe\n\n{"a": 2}\n')
    assert read_json_lines(path) == [{"a": 1}, {"a": 2}]


def test_nan_and_infinity_become_null_so_that_every_reader_can_read(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    write_json(path, {"loss": float("nan"), "rates": [float("inf"), 0.5]})
    assert json.loads(path.read_text()) == {"loss": None, "rates": [None, 0.5]}
    assert finite((1, {"a": float("-inf")})) == [1, {"a": None}]
