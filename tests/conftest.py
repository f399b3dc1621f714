"""What whole-run tests share: a drawn Market-1501 and a place for tiny runs on it."""

from pathlib import Path

import pytest
import torch
from hypothesis import settings

from unplateau.testing.small_market import Lab, draw_market

settings.register_profile("steady", deadline=None)  # a busy machine is not a failure
settings.load_profile("steady")


@pytest.fixture(scope="session")
def drawn_market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds a drawn Market-1501; not to be changed."""
    root = tmp_path_factory.mktemp("datasets")
    draw_market(root)
    return root


@pytest.fixture
def lab(drawn_market: Path, tmp_path: Path) -> Lab:
    """A place for runs on the drawn data; decoded images are shared by the session."""
    torch.set_num_threads(1)
    return Lab(root=drawn_market, place=tmp_path, cache=drawn_market / "cache")
