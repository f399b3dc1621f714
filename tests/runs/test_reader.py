"""Run folders are read in whatever state a crash left them."""

import json
from pathlib import Path

import numpy as np
import pytest

from unplateau.base.errors import RecordError
from unplateau.base.locks import FileLock
from unplateau.runs.layout import RunFolder
from unplateau.runs.reader import find_runs, is_running, read_average_precision, read_run, read_stop
from unplateau.runs.record import EpochRecord, RetrievalMetrics, StopReason, to_plain
from unplateau.runs.writer import RunWriter


def _epoch(epoch: int, score: float) -> EpochRecord:
    metrics = RetrievalMetrics("held-out", score, 0.1, {"1": 0.5, "5": 0.6, "10": 0.7}, 40, 200, 20, 0.02)
    return EpochRecord(epoch, epoch * 10, 1e-3, 5.0 - epoch, {"cross_entropy": 4.0}, validation=metrics)


def _written(folder: Path) -> RunWriter:
    writer = RunWriter(RunFolder(folder))
    writer.config("SEED: 0\n")
    for epoch, score in ((1, 0.2), (2, 0.4), (3, 0.3)):
        writer.epoch(_epoch(epoch, score))
    return writer


def test_what_was_written_is_read(tmp_path: Path) -> None:
    writer = _written(tmp_path / "run")
    reason = StopReason("completed", "Training completed all epochs", epochs_trained=3, max_epochs=3)
    writer.stop(reason, "STOPPING REASON: Training completed all epochs\n")
    run = read_run(tmp_path / "run")
    assert [epoch.epoch for epoch in run.epochs] == [1, 2, 3]
    assert run.stop == reason
    assert run.best == _epoch(2, 0.4)


def test_an_epoch_repeated_after_a_crash_counts_once_as_it_was_last(tmp_path: Path) -> None:
    writer = _written(tmp_path / "run")
    writer.epoch(_epoch(3, 0.9))
    run = read_run(tmp_path / "run")
    assert [epoch.validation.mAP for epoch in run.epochs if epoch.validation] == [0.2, 0.4, 0.9]
    assert run.best is not None
    assert run.best.epoch == 3


def test_a_torn_last_line_costs_only_that_line(tmp_path: Path) -> None:
    writer = _written(tmp_path / "run")
    content = writer.folder.metrics.read_bytes()
    writer.folder.metrics.write_bytes(content[:-40])
    assert [epoch.epoch for epoch in read_run(tmp_path / "run").epochs] == [1, 2]


def test_a_folder_without_a_run_is_said_to_hold_none(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds no run"):
        read_run(tmp_path)


def test_a_run_is_running_while_its_lock_is_held(tmp_path: Path) -> None:
    folder = _written(tmp_path / "run").folder
    assert not is_running(folder)
    lock = FileLock(folder.lock)
    assert lock.acquire()
    assert is_running(folder)
    lock.release()
    assert not is_running(folder)


def test_runs_are_found_below_a_folder(tmp_path: Path) -> None:
    _written(tmp_path / "market1501" / "a")
    _written(tmp_path / "plateau_solutions" / "b")
    (tmp_path / "empty").mkdir()
    assert {folder.name for folder in find_runs(tmp_path)} == {"a", "b"}
    assert find_runs(tmp_path / "nowhere") == []


def test_average_precision_is_readable_without_running_code(tmp_path: Path) -> None:
    writer = RunWriter(RunFolder(tmp_path / "run"))
    writer.average_precision({"validation_average_precision": np.array([[0.5, np.nan]], dtype=np.float32)})
    with np.load(writer.folder.average_precision, allow_pickle=False) as arrays:
        assert arrays["validation_average_precision"].shape == (1, 2)


def test_a_line_of_the_record_that_is_damaged_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = to_plain(EpochRecord(1, 10, 0.1, 2.0, {}))
    lines = [good, {**good, "epoch": 2, "steps": "<b>"}, {**good, "epoch": 3}, {**good, "epoch": 4, "losses": [1]}]
    (tmp_path / "metrics.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert [epoch.epoch for epoch in read_run(tmp_path).epochs] == [1, 3]
    assert "the line of epoch 2 is damaged" in caplog.text and "epoch 4" in caplog.text


@pytest.mark.parametrize(
    "content", ['{"code": 3}', '{"code": "completed", "evidence": "none"}', "[" * 20_000, b"\xff\xfe{", "1" * 5000]
)
def test_a_reason_that_is_damaged_counts_as_missing(tmp_path: Path, content: str | bytes) -> None:
    (tmp_path / "stop.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert read_stop(RunFolder(tmp_path)) is None


def test_arrays_that_are_damaged_count_as_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = RunFolder(tmp_path)
    assert read_average_precision(folder) == {}
    np.savez_compressed(folder.average_precision, validation_epochs=np.arange(50))
    assert read_average_precision(folder)["validation_epochs"][-1] == 49
    folder.average_precision.write_bytes(folder.average_precision.read_bytes()[:90])
    assert read_average_precision(folder) == {}
    assert "average_precision.npz cannot be read" in caplog.text
