"""Faults in real processes: the short version of benchmarks/faults/many_faults.py, whose long one is in docs/reliability.md."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unplateau.base.files import read_json_lines

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "faults" / "many_faults.py"
LIMIT_SECONDS = 900  # two cores may be shared with other work
QUICK = (
    "kill-file", "kill-checkpoint", "ctrl-c-end", "checkpoint-flipped", "manifest-cut", "best-flipped", "same-name", "nan",
    "folder-moved", "other-torch",
)  # fmt: skip

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="the harness waits by pidfd, which is Linux's")


def _outcomes(scratch: Path, *words: str) -> list[dict[str, object]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), str(scratch), "--rounds", "1", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return read_json_lines(scratch / "outcomes.jsonl")


def test_ten_kinds_of_fault_end_as_promised(tmp_path: Path) -> None:
    outcomes = _outcomes(tmp_path, "--only", *QUICK)
    assert [one["fault"] for one in outcomes if not one["problems"]] == [one["fault"] for one in outcomes]
    assert {one["fault"] for one in outcomes} == set(QUICK)
    reasons = {one["fault"]: one["reason"] for one in outcomes}
    assert (reasons["nan"], reasons["same-name"]) == ("diverged", "completed")


@pytest.mark.slow
def test_every_kind_of_fault_ends_as_promised(tmp_path: Path) -> None:
    assert len(_outcomes(tmp_path)) > 30
