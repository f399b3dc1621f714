"""Shared by the tests of models: one thread, and a backbone of the user's own on disk."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

OWN = """
from torch import nn


def build():
    return nn.Sequential(nn.Conv2d(3, 8, 3, 4, bias=False), nn.BatchNorm2d(8), nn.ReLU())


def vectors(config):
    height, width = config.INPUT.SIZE_TRAIN
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * height * width, 6))


def no_network():
    return 3


def tokens():
    return nn.Flatten(2)
"""


@pytest.fixture(autouse=True)
def one_thread_and_fixed_draws() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    """The folder of public weights: REID_WEIGHTS, or `weights` beside the folder of archives."""
    named, archives = os.environ.get("REID_WEIGHTS"), os.environ.get("REID_ARCHIVES")
    folder = Path(named) if named else Path(archives).parent / "weights" if archives else None
    if folder is None or not folder.is_dir():
        pytest.skip("public weights are not at hand: set REID_WEIGHTS, or REID_ARCHIVES to a folder with `weights` beside it")
    return folder


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_backbones.py").write_text(OWN, encoding="utf-8")
    (tmp_path / "my_broken.py").write_text("value = 1\nraise KeyError('lost')\n", encoding="utf-8")
    (tmp_path / "my_needy.py").write_text("import a_package_nobody_has\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return "my_backbones"
