"""Weight files are read as plain tensors, whatever wraps them, and nothing in them is ever run."""

import argparse
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from unplateau.base.errors import DataNotFoundError, WeightsError
from unplateau.models.weight_files import read_weights

STATE = {"conv.weight": torch.ones(2, 3), "bn.num_batches_tracked": torch.tensor(7)}
WRAPPED: dict[str, Any] = {
    "plain": STATE,
    "fast-reid": {"model": STATE, "iteration": 9, "optimizer": {"state": {}}},
    "torchreid": {"state_dict": STATE, "epoch": 3, "rank1": np.float64(0.5), "args": argparse.Namespace(lr=0.1)},
    "DataParallel": {f"module.{name}": tensor for name, tensor in STATE.items()},
    "compiled DataParallel": {"net": {f"_orig_mod.module.{name}": tensor for name, tensor in STATE.items()}},
    "nested": {"model": {"state_dict": STATE}, "config": "MODEL: {}", "schema": 1},
}


class Trap:
    """Makes a folder when a pickle of it is opened carelessly."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return os.mkdir, (str(self.touched),)


def saved(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize("how", WRAPPED)
def test_tensors_are_found_under_any_usual_wrapping(how: str, tmp_path: Path) -> None:
    found = read_weights(saved(WRAPPED[how], tmp_path / "weights.pth.tar"))
    assert list(found) == list(STATE)
    assert torch.equal(found["conv.weight"], STATE["conv.weight"])


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "model.safetensors")
    assert set(read_weights(tmp_path / "model.safetensors")) == set(STATE)


def test_a_file_that_would_run_code_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    path = saved({"state_dict": STATE, "extra": Trap(touched)}, tmp_path / "trap.pth")
    with pytest.raises(WeightsError, match="can run code.*convert it once") as caught:
        read_weights(path)
    assert "mkdir" in str(caught.value)
    (tmp_path / "legacy.pth").write_bytes(pickle.dumps(Trap(touched), protocol=2))
    with pytest.raises(WeightsError):
        read_weights(tmp_path / "legacy.pth")
    assert not touched.exists()


def test_a_pickled_module_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"torch\.nn\.modules\.linear\.Linear"):
        read_weights(saved(nn.Linear(2, 2), tmp_path / "module.pth"))


def test_files_that_are_no_weights_are_named_for_what_they_are(tmp_path: Path) -> None:
    whole = saved(STATE, tmp_path / "whole.pth").read_bytes()
    cases = {
        "web.pth": (b"<!DOCTYPE html><html>", "web page"),
        "pointer.pth": (b"version https://git-lfs.github.com/spec/v1", "pointer file"),
        "cut.pth": (whole[: len(whole) // 2], "cut off"),
        "empty.pth": (b"", "cut off"),
        "cut.safetensors": (b"\x08\x00", "no whole safetensors file"),
    }
    for name, (content, words) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=words):
            read_weights(tmp_path / name)
    with pytest.raises(DataNotFoundError, match="no such file"):
        read_weights(tmp_path / "nowhere.pth")
    with pytest.raises(WeightsError, match="holds no tensors"):
        read_weights(saved({"epoch": 3}, tmp_path / "numbers.pth"))
