"""Killed with SIGKILL in real processes and resumed: the short version of benchmarks/faults/kill_and_resume.py."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "benchmarks" / "faults"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL on Windows")
def test_three_kills_change_no_bit(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("kill_and_resume", FOLDER / "kill_and_resume.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kill_and_resume"] = module
    spec.loader.exec_module(module)
    rounds = module.run_rounds(tmp_path, num_kills=3, seed=1)
    assert sum(len(one.kills) for one in rounds) == 3
    assert [one.differences for one in rounds] == [()] * len(rounds)
