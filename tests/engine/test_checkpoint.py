"""Resume checkpoints and the best model beside them. Whole runs that go on: `tests/workflows/training/test_train_resume.py`."""

from dataclasses import replace
from pathlib import Path

import pytest

from unplateau.base.errors import CheckpointError
from unplateau.engine.checkpoint import (
    CheckpointStore,
    bring_back_best,
    has_checkpoint,
    last_saved_epoch,
    load_checkpoint,
)
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
