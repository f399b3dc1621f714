"""TensorBoard and Weights & Biases: off unless asked for, offline, and never in the way of a training."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from unplateau.base.errors import UsageError
from unplateau.config.delta import with_values
from unplateau.config.schema import Config
from unplateau.runs.foreign_logs import tensorboard
from unplateau.runs.layout import RunFolder
from unplateau.runs.reader import read_run
from unplateau.runs.record import EpochRecord, RetrievalMetrics
from unplateau.testing.small_market import Lab
from unplateau.workflows.training import loggers
from unplateau.workflows.training.loggers import Loggers, RunLogger, TensorBoardLogger, check_loggers, open_loggers

needs_tensorboard = pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")
needs_wandb = pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")


def _epoch(number: int) -> EpochRecord:
    metrics = RetrievalMetrics("held-out", 0.1 * number, 0.2, {"1": 0.5}, 24, 60, 8, 0.05)
    losses = {"cross_entropy": 6.0 - number, "triplet": 1.0}
    return EpochRecord(number, 10 * number, 1e-3, 7.0 - number, losses, accuracy=0.25, validation=metrics)


def _read(folder: Path) -> dict[str, tuple[tuple[int, ...], tuple[float, ...]]]:
    logs = [tensorboard.read(path, {}) for path in sorted((folder / "tensorboard").iterdir())]
    assert len(logs) == 1
    return {name: logs[0].per_epoch(name) for name in logs[0].names()}


@needs_tensorboard
def test_what_tensorboard_is_told_is_what_our_own_reader_reads_back(tmp_path: Path) -> None:
    logger = TensorBoardLogger(RunFolder(tmp_path), first_step=0)
    for number in (1, 2, 3):
        logger.epoch(_epoch(number))
    logger.close()
    series = _read(tmp_path)
    assert series["cross_entropy"] == ((1, 2, 3), pytest.approx((5.0, 4.0, 3.0)))
    assert series["total"] == ((1, 2, 3), pytest.approx((6.0, 5.0, 4.0)))
    assert series["mAP"] == ((1, 2, 3), pytest.approx((0.1, 0.2, 0.3)))
    assert series["learning_rate"] == ((1, 2, 3), pytest.approx((1e-3, 1e-3, 1e-3)))


@needs_tensorboard
def test_a_training_that_is_asked_to_writes_events_and_one_that_is_not_does_not(lab: Lab) -> None:
    asked, silent = lab.train("asked", "LOGGING.TENSORBOARD True"), lab.train("silent")
    assert asked.reason.code == silent.reason.code == "completed"
    assert list(_read(asked.folder.path)["mAP"][0]) == [1, 2, 3]
    assert not (silent.folder.path / "tensorboard").exists()


def test_what_is_not_installed_is_refused_before_anything_is_begun(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install wandb"):
        lab.train("refused", "LOGGING.WANDB True")
    assert not lab.folder("refused").path.exists()


def test_a_logger_that_fails_is_left_out_and_the_others_go_on() -> None:
    seen: list[int] = []

    class Failing(RunLogger):
        def epoch(self, record: EpochRecord) -> None:
            seen.append(-record.epoch)
            raise OSError("the disk is full")

        def close(self) -> None:
            raise OSError("the disk is full")

    class Keeping(RunLogger):
        def epoch(self, record: EpochRecord) -> None:
            seen.append(record.epoch)

        def close(self) -> None:
            seen.append(0)

    both = Loggers([Failing(), Keeping()])
    for number in (1, 2):
        both.epoch(_epoch(number))
    both.close()
    assert seen == [-1, 1, 2, 0]


def test_nothing_is_imported_unless_it_is_asked_for() -> None:
    script = (
        "import sys; from unplateau.workflows.training.loggers import check_loggers; from unplateau.config.schema import Config; "
        "check_loggers(Config()); assert not {'tensorboard', 'wandb', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@needs_wandb
def test_weights_and_biases_writes_an_offline_run_into_the_run_folder(tmp_path: Path) -> None:
    config = with_values(Config(), {"LOGGING.WANDB": True})
    check_loggers(config)
    opened = open_loggers(config, RunFolder(tmp_path), first_step=0)
    for number in (1, 2):
        opened.epoch(_epoch(number))
    opened.close()
    assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))


@pytest.mark.slow
@needs_wandb
@needs_tensorboard
def test_a_training_tells_weights_and_biases_what_its_own_records_say_offline(lab: Lab) -> None:
    outcome = lab.train("asked", "LOGGING.WANDB True LOGGING.TENSORBOARD True")
    assert outcome.reason.code == "completed"
    assert "is left out" not in outcome.folder.log.read_text(encoding="utf-8")
    (stored,) = (outcome.folder.path / "wandb").glob("offline-run-*/*.wandb")
    content, epochs = stored.read_bytes(), read_run(outcome.folder.path).epochs
    assert b"held-out/mAP" in content and b"SOLVER.BASE_LR" in content
    assert all(repr(epoch.total_loss).encode() in content for epoch in epochs)
