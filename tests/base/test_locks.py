"""A lock is held by one process at a time and ends with its process."""

import subprocess
import sys
from pathlib import Path

import pytest

from unplateau.base.errors import UsageError
from unplateau.base.locks import FileLock

_HOLD = """
import sys
from pathlib import Path
from unplateau.base.locks import FileLock
print(FileLock(Path(sys.argv[1])).acquire())
"""


def _acquired_by_another_process(path: Path) -> bool:
    result = subprocess.run([sys.executable, "-c", _HOLD, str(path)], capture_output=True, text=True, check=True)
    return result.stdout.strip() == "True"


def test_a_lock_excludes_another_process_until_it_is_released(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / ".lock")
    assert lock.acquire()
    assert not _acquired_by_another_process(lock.path)
    lock.release()
    assert _acquired_by_another_process(lock.path)


def test_a_lock_of_a_process_that_ended_is_free(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    assert _acquired_by_another_process(path)
    lock = FileLock(path)
    assert lock.acquire()
    lock.release()


def test_a_folder_that_cannot_be_made_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be written to .* OUTPUT_DIR"):
        FileLock(tmp_path / "file" / "run" / ".lock").acquire()
