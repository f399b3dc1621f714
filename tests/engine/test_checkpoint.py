"""Resume checkpoints and the best model beside them. Whole runs that go on: `tests/workflows/training/test_train_resume.py`."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from unplateau.base.errors import CheckpointError
from unplateau.base.files import sha256_of
from unplateau.engine.checkpoint import (
    CheckpointStore,
    has_checkpoint,
    last_saved_epoch,
    load_checkpoint,
)
from unplateau.engine.checkpoint_files import bring_back_best
from unplateau.engine.parts import Parts
from unplateau.engine.stopping import Progress
from unplateau.optim.schedules import Schedule
from unplateau.runs.layout import RunFolder
from unplateau.testing.tiny_problem import tiny_config, tiny_parts


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


@pytest.fixture(scope="module")
def parts() -> Parts:
    return tiny_parts()


def _progress(epoch: int, best_epoch: int | None = None) -> Progress:
    return replace(Progress(Schedule.from_config(tiny_config(), 4)), epoch=epoch, step=4 * epoch, best_epoch=best_epoch)


def _save(folder: RunFolder, parts: Parts, epoch: int, *, best_epoch: int) -> None:
    if best_epoch == epoch:
        _write_best(folder, f"model of epoch {epoch}")
    CheckpointStore(folder, identity={}).save(parts, _progress(epoch, best_epoch))


def _write_best(folder: RunFolder, words: str) -> None:
    folder.path.mkdir(exist_ok=True)
    part = folder.path / "part"
    part.write_text(words, encoding="utf-8")
    part.replace(folder.best_model)


def test_before_the_first_there_is_none(folder: RunFolder) -> None:
    assert not has_checkpoint(folder) and last_saved_epoch(folder) == 0
    with pytest.raises(CheckpointError, match="0 listed"):
        load_checkpoint(folder)


def test_the_last_two_are_kept_each_with_its_best_model(folder: RunFolder, parts: Parts) -> None:
    for epoch, best_epoch in ((1, 1), (2, 1), (3, 3), (4, 3)):
        _save(folder, parts, epoch, best_epoch=best_epoch)
    names = {file.name for file in folder.checkpoints.iterdir()}
    assert names == {"epoch_0003.pth", "epoch_0004.pth", "best_0003.pth", "manifest.json"}
    assert (last_saved_epoch(folder), load_checkpoint(folder)["epoch"]) == (4, 4)


def test_the_best_model_goes_back_to_that_of_the_checkpoint(folder: RunFolder, parts: Parts) -> None:
    _save(folder, parts, 1, best_epoch=1)
    _write_best(folder, "of an epoch that never counted")
    bring_back_best(folder, 1)
    assert folder.best_model.read_text(encoding="utf-8") == "model of epoch 1"
    bring_back_best(folder, 1)  # once more changes nothing
    _write_best(folder, "model of epoch 2")
    assert folder.best_of_checkpoint(1).read_text(encoding="utf-8") == "model of epoch 1", "they are apart"


def test_an_epoch_trained_again_brings_its_own_best_model(folder: RunFolder, parts: Parts) -> None:
    _save(folder, parts, 1, best_epoch=1)
    _save(folder, parts, 2, best_epoch=2)
    _write_best(folder, "model of epoch 2, trained again")
    CheckpointStore(folder, identity={}).save(parts, _progress(2, 2))
    assert folder.best_of_checkpoint(2).read_text(encoding="utf-8") == "model of epoch 2, trained again"


def test_where_nothing_was_best_nothing_is_brought_back(folder: RunFolder, parts: Parts) -> None:
    CheckpointStore(folder, identity={}).save(parts, _progress(1))
    _write_best(folder, "mine")
    bring_back_best(folder, None)
    bring_back_best(folder, 7)
    assert folder.best_model.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("damage", ["truncated", "a flipped bit", "not an archive"])
def test_without_its_manifest_a_damaged_checkpoint_is_still_seen(
    folder: RunFolder, parts: Parts, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    for epoch in (1, 2):
        _save(folder, parts, epoch, best_epoch=1)
    folder.checkpoint_manifest.write_text("{", encoding="utf-8")
    latest = folder.checkpoint(2)
    content = latest.read_bytes()
    middle = content.index(b"data/0") + 400  # among the numbers of a tensor
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    latest.write_bytes({"truncated": content[: len(content) // 2], "a flipped bit": flipped}.get(damage, b"words"))
    assert load_checkpoint(folder)["epoch"] == 1
    assert "epoch_0002.pth is damaged" in caplog.text


def test_a_spoilt_best_model_is_replaced_by_its_copy_and_a_spoilt_copy_by_it(folder: RunFolder, parts: Parts) -> None:
    _save(folder, parts, 1, best_epoch=1)
    _save(folder, parts, 2, best_epoch=1)
    folder.best_model.write_text("spoilt", encoding="utf-8")
    assert load_checkpoint(folder)["epoch"] == 2
    bring_back_best(folder, 1)
    assert folder.best_model.read_text(encoding="utf-8") == "model of epoch 1"
    folder.best_of_checkpoint(1).write_text("spoilt", encoding="utf-8")
    assert load_checkpoint(folder)["epoch"] == 2
    bring_back_best(folder, 1)
    assert folder.best_model.read_text(encoding="utf-8") == "model of epoch 1"


def test_where_the_best_model_is_lost_twice_the_checkpoint_before_it_is_used(
    folder: RunFolder, parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    _save(folder, parts, 1, best_epoch=1)
    _save(folder, parts, 2, best_epoch=2)
    for path in (folder.best_model, folder.best_of_checkpoint(2)):
        path.write_text("spoilt", encoding="utf-8")
    assert load_checkpoint(folder)["epoch"] == 1
    assert "the best model of its time is not" in caplog.text


def test_a_checkpoint_after_an_epoch_that_is_not_recorded_is_left_for_the_one_before(
    folder: RunFolder, parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    for epoch in (1, 2):
        _save(folder, parts, epoch, best_epoch=1)
    assert load_checkpoint(folder, recorded={1, 2})["epoch"] == 2
    assert load_checkpoint(folder, recorded={1})["epoch"] == 1
    assert load_checkpoint(folder, recorded={2})["epoch"] == 2
    assert "the record stays incomplete" in caplog.text


BROKEN_LISTS = (
    "{", "[]", '{"checkpoints": [3]}', '{"checkpoints": [{"file": "epoch_0001.pth", "epoch": "1"}]}', "[" * 20_000, b"\xff",
    '{"checkpoints": [{"file": "../../x.pth", "epoch": 1}]}',
)  # fmt: skip


@pytest.mark.parametrize("manifest", BROKEN_LISTS)
def test_a_list_that_cannot_be_read_is_made_anew_from_the_files(folder: RunFolder, parts: Parts, manifest: str | bytes) -> None:
    _save(folder, parts, 1, best_epoch=1)
    folder.checkpoint_manifest.write_bytes(manifest if isinstance(manifest, bytes) else manifest.encode())
    assert has_checkpoint(folder) and last_saved_epoch(folder) == 1
    assert load_checkpoint(folder)["epoch"] == 1


class _Trap:
    """Makes a folder when a pickle of it is opened carelessly."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return os.mkdir, (str(self.touched),)


@pytest.mark.parametrize("has_manifest", [True, False])
def test_a_checkpoint_that_would_run_code_is_refused_with_the_reason(
    folder: RunFolder, tmp_path: Path, has_manifest: bool
) -> None:
    folder.checkpoints.mkdir(parents=True)
    torch.save({"epoch": 1, "model": _Trap(tmp_path / "touched")}, folder.checkpoint(1))
    entry = {"file": "epoch_0001.pth", "epoch": 1, "sha256": sha256_of(folder.checkpoint(1))}
    folder.checkpoint_manifest.write_text(json.dumps({"checkpoints": [entry]}) if has_manifest else "{", encoding="utf-8")
    with pytest.raises(CheckpointError, match="can run code"):
        load_checkpoint(folder)
    assert not (tmp_path / "touched").exists()


def test_a_file_of_tensors_that_is_no_checkpoint_is_refused(folder: RunFolder) -> None:
    folder.checkpoints.mkdir(parents=True)
    torch.save({"epoch": 1, "model": {}}, folder.checkpoint(1))
    folder.checkpoint_manifest.write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match="no checkpoint of ours"):
        load_checkpoint(folder)
