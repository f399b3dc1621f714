"""Files are written whole or not at all, and JSON lines survive a crash."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from unplateau.base import files
from unplateau.base.files import (
    append_json_line,
    finite,
    read_json,
    read_json_lines,
    remove,
    remove_leftovers,
    replacing,
    write_json,
    write_text,
)


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


def _refusing(monkeypatch: pytest.MonkeyPatch, name: str, times: int) -> list[str]:
    """Have a method of Path refuse, as Windows does for a file that another program has open."""
    attempts, true = [], getattr(Path, name)

    def method(self: Path, *arguments: Any, **settings: Any) -> Any:
        attempts.append(self.name)
        if len(attempts) <= times:
            raise PermissionError(13, "open in another program")
        return true(self, *arguments, **settings)

    monkeypatch.setattr(Path, name, method)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return attempts


def test_a_record_and_a_file_to_remove_that_are_open_elsewhere_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.jsonl"
    with monkeypatch.context() as patched:
        assert len(_refusing(patched, "open", 3)) == 0
        append_json_line(path, {"epoch": 1})
    assert read_json_lines(path) == [{"epoch": 1}]
    with monkeypatch.context() as patched:
        _refusing(patched, "unlink", 3)
        remove(path)
    assert not path.exists()
    remove(path)  # what is not there is removed


def test_what_stays_open_elsewhere_is_an_error_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "old.pth"
    path.touch()
    attempts = _refusing(monkeypatch, "unlink", 100)
    with pytest.raises(PermissionError):
        remove(path)
    assert len(attempts) == 8


def test_leftovers_of_killed_processes_go_and_nothing_else(tmp_path: Path) -> None:
    kept = [tmp_path / "model.pth", tmp_path / ".notes.part", tmp_path / ".run.7.part.txt", tmp_path / "a.77.part"]
    deep = tmp_path / "checkpoints" / ".epoch_0002.pth.77.part"
    deep.parent.mkdir()
    cut_short = tmp_path / ".export.5.part"  # a folder is no file that was half written
    cut_short.mkdir()
    for path in (*kept, deep, tmp_path / ".stop.json.77.part"):
        path.write_text("half")
    remove_leftovers(tmp_path, is_deep=False)
    assert not (tmp_path / ".stop.json.77.part").exists() and deep.exists()
    remove_leftovers(tmp_path)
    assert not deep.exists() and cut_short.is_dir() and all(path.exists() for path in kept)


def test_a_line_may_hold_every_character_that_a_program_takes_for_an_end_of_line(tmp_path: Path) -> None:
    path, odd = tmp_path / "metrics.jsonl", {"name": "a\u2028b\u0085c\x0bd\x1ce"}
    append_json_line(path, odd)
    append_json_line(path, {"epoch": 2})
    assert read_json_lines(path) == [odd, {"epoch": 2}]


def test_a_record_without_end_is_refused_or_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(files, "LARGEST_RECORD_BYTES", 1 << 20)
    path = tmp_path / "record.json"
    path.write_text("[" + "1," * (1 << 19) + "1]")
    with pytest.raises(ValueError, match="over 1 MB"):
        read_json(path)
    path.write_text('{"epoch": 1}\n' * 90_000)
    assert len(read_json_lines(path)) == (1 << 20) // 13
    assert "over 1 MB: the rest is left out" in caplog.text


def test_a_line_with_bytes_that_are_no_text_is_left_out_even_where_it_could_still_be_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    line = b'{"epoch": 2, "active": 0.25, "motion": 0.003}\n'
    path.write_bytes(b'{"epoch": 1}\n' + line.replace(b'ive": 0.25, "mot', b"\xff" * 16))
    assert read_json_lines(path) == [{"epoch": 1}]
