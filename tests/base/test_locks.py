"""A lock is held by one process at a time and ends with its process."""

import os
import signal
import subprocess
import sys
import time
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


def test_asking_whether_a_lock_is_held_takes_it_from_nobody(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / ".lock")
    assert not lock.is_held() and not lock.path.exists(), "asking writes nothing"
    assert lock.acquire() and FileLock(lock.path).is_held()
    lock.release()
    assert not FileLock(lock.path).is_held()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows' locks are never shared")
def test_who_asks_at_the_wrong_moment_keeps_nobody_from_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    lock = FileLock(tmp_path / ".lock")
    lock.path.touch()
    with lock.path.open("rb") as asking:
        fcntl.flock(asking.fileno(), fcntl.LOCK_SH)
        assert not FileLock(lock.path).is_held(), "two that ask do not see each other"
        monkeypatch.setattr("time.sleep", lambda seconds: fcntl.flock(asking.fileno(), fcntl.LOCK_UN))
        assert lock.acquire()
    lock.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_forked_child_that_lives_on_does_not_keep_the_lock(tmp_path: Path) -> None:
    script = (
        "import multiprocessing, os, sys, time\n"
        "from pathlib import Path\n"
        "from unplateau.base.locks import FileLock\n"
        "lock = FileLock(Path(sys.argv[1]))\n"
        "assert lock.acquire()\n"
        "child = multiprocessing.get_context('fork').Process(target=time.sleep, args=(20,))\n"
        "child.start()\n"
        "assert FileLock(Path(sys.argv[1])).is_held()\n"
        "print(child.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        holder.wait(timeout=60)
    try:
        deadline = time.monotonic() + 10  # the child lets go when it first runs, which a busy machine may delay
        while FileLock(tmp_path / "lock").is_held() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(child, 0)  # it lives
        assert not FileLock(tmp_path / "lock").is_held()
    finally:
        os.kill(child, signal.SIGKILL)
