"""What comes from the machine is told apart from what comes from the training, and said in words that help."""

import errno
from pathlib import Path

import pytest

from unplateau.base.files import read_json
from unplateau.engine.checkpoint import CheckpointStore
from unplateau.testing.small_market import Lab
from unplateau.workflows.training.failures import disk_full_words, is_disk_full, lost_process_words

FULL = OSError(errno.ENOSPC, "No space left on device", "logs/run/metrics.jsonl")


def _caused_by(cause: Exception) -> Exception:
    error = RuntimeError("unexpected pos 64 vs 0")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error", [FULL, _caused_by(FULL), RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed")]
)
def test_a_full_disk_is_seen_through_what_wraps_it(error: Exception) -> None:
    assert is_disk_full(error)


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "denied"), RuntimeError("shape mismatch"), ValueError("no space")])
def test_other_failures_are_no_full_disk(error: Exception) -> None:
    assert not is_disk_full(error)


def test_the_file_that_found_no_room_is_named() -> None:
    assert "logs/run/metrics.jsonl" in disk_full_words(_caused_by(FULL), Path("logs/run"))
    assert "logs/run" in disk_full_words(RuntimeError("PytorchStreamWriter failed"), Path("logs/run"))


def test_processes_that_were_lost_are_said_to_be() -> None:
    worker = RuntimeError("DataLoader worker (pid 71) is killed by signal: Killed. ")
    assert "A process that decodes images died (DataLoader worker (pid 71) is killed" in lost_process_words(worker)
    assert "NUM_WORKERS" in lost_process_words(worker)
    peer = RuntimeError("[/x/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:4471")
    assert lost_process_words(peer).startswith("Another process of this training died")
    assert lost_process_words(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) == ""
    assert lost_process_words(ValueError("Connection closed by peer")) == ""


def test_a_full_disk_is_a_reason_of_its_own_and_the_run_goes_on(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    true_save = CheckpointStore.save

    def full(self, parts, progress):  # type: ignore[no-untyped-def]
        if progress.epoch == 2:
            raise FULL
        true_save(self, parts, progress)

    with monkeypatch.context() as patched:
        patched.setattr(CheckpointStore, "save", full)
        reason = lab.train("run").reason
    assert (reason.code, reason.headline, reason.exit_code, reason.resumable) == ("disk-full", "The disk is full", 1, True)
    text = lab.folder("run").stopping_reason.read_text(encoding="utf-8").replace("\n    ", " ")
    assert "metrics.jsonl could not be written" in text and "Make room on the disk" in text and "--resume" in text
    assert lab.train("run", resume=True).reason.code == "completed"


def test_room_is_kept_for_the_end_and_given_back(lab: Lab) -> None:
    folder = lab.folder("run")
    seen = []

    def look(record: object) -> None:
        seen.append(folder.room.stat().st_size)

    from dataclasses import replace

    from unplateau.workflows.training.train import run_training

    run_training(replace(lab.request("run", "SOLVER.MAX_EPOCH 1"), on_epoch=look))
    assert seen[0] >= 64 * 1024 and not folder.room.exists()


def test_an_end_that_cannot_be_written_is_said_without_a_traceback(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from unplateau.base.errors import UnplateauError
    from unplateau.runs.writer import RunWriter

    def refuse(self, reason, text):  # type: ignore[no-untyped-def]
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(RunWriter, "stop", refuse)
        with pytest.raises(
            UnplateauError, match=r"Training completed.*could not be written to .*Read-only file system.*--resume"
        ):
            lab.train("run")
    assert lab.train("run", resume=True).reason.code == "completed"


def test_the_reason_is_written_last(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the texts and the record, the next start finishes the end instead of taking the run for finished."""
    from unplateau.runs import writer

    def killed(path: Path, value: object) -> None:
        if path.name == "stop.json":
            assert read_json(lab.folder("run").model_info)["test"] and lab.folder("run").stopping_reason.exists()
        true_write(path, value)

    true_write = writer.write_json
    monkeypatch.setattr(writer, "write_json", killed)
    assert lab.train("run").reason.code == "completed"
