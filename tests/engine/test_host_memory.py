"""Keeping freed memory saves page faults where the C library is glibc, and does nothing elsewhere."""

import subprocess
import sys

import pytest

from unplateau.engine import host_memory

_PAGE_FAULTS = """
import resource, sys, torch
from unplateau.engine.host_memory import keep_freed_memory
if sys.argv[1] == "kept" and not keep_freed_memory():
    print("cannot")
    raise SystemExit
torch.ones(16_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.ones(16_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(kind: str) -> int:
    output = subprocess.run([sys.executable, "-c", _PAGE_FAULTS, kind], capture_output=True, text=True, check=True).stdout.strip()
    if output == "cannot":
        pytest.skip("this C library has no mallopt")
    return int(output)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told")
def test_blocks_that_were_freed_are_used_again_without_page_faults() -> None:
    assert _faults("kept") < 0.9 * _faults("plain")


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_memory.sys, "platform", "win32")
    assert not host_memory.keep_freed_memory()
