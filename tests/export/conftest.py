"""Shared by the tests of exports: one finished tiny run, exported once."""

from pathlib import Path

import pytest
import torch

from unplateau.testing.small_market import Lab
from unplateau.workflows.exporting.export import Exported, ExportRequest, run_export


@pytest.fixture(scope="module")
def module_lab(drawn_market: Path, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A place for runs that a module's tests share."""
    torch.set_num_threads(1)
    return Lab(root=drawn_market, place=tmp_path_factory.mktemp("export lab"), cache=drawn_market / "cache")


@pytest.fixture(scope="module")
def exported(module_lab: Lab) -> Exported:
    """A run of two epochs with flip test, exported into its own folder."""
    module_lab.train("run", "SOLVER.MAX_EPOCH 2 TEST.FLIP.ENABLED True")
    return run_export(ExportRequest(module_lab.folder("run").path), say=lambda line: None)
