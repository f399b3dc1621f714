"""The contract of all executors: a job in, what it writes out; an end is told once, a lost worker and a failure too."""

import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from unplateau.search.executors.contract import Executor, Job, JobEnd
from unplateau.search.executors.local import LocalExecutor, slots_of
from unplateau.search.executors.ray_cluster import RayExecutor
from unplateau.search.executors.slurm import SlurmExecutor

_WAIT_SECONDS = 60.0
_NEEDS = {"ray": "ray", "submitit": "submitit"}

WRITES = (
    "import os, sys; open('out_' + sys.argv[1], 'w').write(os.environ.get('MARK', '') + os.getcwd()); print('said', sys.argv[1])"
)
FAILS = "print('out of memory'); raise SystemExit(3)"
WAITS = """
import os, signal, sys, time
asked = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: asked.append(1))
open('pid_' + sys.argv[1], 'w').write(str(os.getpid()))
while not asked:
    time.sleep(0.02)
open('stopped_' + sys.argv[1], 'w').write('cleanly')
raise SystemExit(130)
"""


@pytest.fixture(params=["local", "ray", "submitit"])
def executor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Executor]:
    package = _NEEDS.get(request.param)
    if package and (importlib.util.find_spec(package) is None or sys.platform == "win32"):
        pytest.skip(f"{package} is not installed")
    made = _MAKE[request.param](tmp_path)
    yield made
    made.close()


def _ray(tmp_path: Path) -> Executor:
    import ray

    if not ray.is_initialized():
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}},
        )
    return RayExecutor()


_MAKE: dict[str, Callable[[Path], Executor]] = {
    "local": lambda tmp_path: LocalExecutor(slots_of(2, environment={})),
    "ray": _ray,
    "submitit": lambda tmp_path: SlurmExecutor(tmp_path / "submitit", 2, {}, cluster="local"),
}

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of Ray's and submitit's own


def job(tmp_path: Path, name: str, code: str, **environment: str) -> Job:
    return Job(name, (sys.executable, "-c", code, name), tmp_path / "said" / f"{name}.txt", tmp_path, environment)


def all_ends(executor: Executor, number: int) -> dict[str, JobEnd]:
    ends: dict[str, JobEnd] = {}
    deadline = time.monotonic() + _WAIT_SECONDS
    while len(ends) < number and time.monotonic() < deadline:
        for end in executor.ended(1.0):
            assert end.name not in ends, "an end is told once"
            ends[end.name] = end
    return ends


def appears(path: Path) -> str:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not (path.exists() and path.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return path.read_text()


def test_jobs_run_in_their_folder_with_their_environment_and_their_ends_are_told_once(executor: Executor, tmp_path: Path) -> None:
    assert executor.num_slots == 2
    executor.submit(job(tmp_path, "a", WRITES, MARK="marked "))
    executor.submit(job(tmp_path, "b", WRITES))
    ends = all_ends(executor, 2)
    assert ends == {"a": JobEnd("a", 0, "said a"), "b": JobEnd("b", 0, "said b")}
    assert (tmp_path / "out_a").read_text() == f"marked {tmp_path}"
    assert executor.ended(0.1) == []


def test_a_failed_job_tells_its_exit_code_and_its_last_words(executor: Executor, tmp_path: Path) -> None:
    executor.submit(job(tmp_path, "a", FAILS))
    assert all_ends(executor, 1) == {"a": JobEnd("a", 3, "out of memory")}


def test_a_killed_job_is_told_and_another_takes_its_place(executor: Executor, tmp_path: Path) -> None:
    executor.submit(job(tmp_path, "a", WAITS))
    os.kill(int(appears(tmp_path / "pid_a")), signal.SIGKILL)
    assert all_ends(executor, 1)["a"].exit_code < 0
    executor.submit(job(tmp_path, "a", WRITES))
    assert all_ends(executor, 1)["a"].exit_code == 0


def test_a_request_to_stop_reaches_the_job(executor: Executor, tmp_path: Path) -> None:
    executor.submit(job(tmp_path, "a", WAITS))
    appears(tmp_path / "pid_a")
    executor.ask_to_stop()
    assert "a" in all_ends(executor, 1)
    assert (tmp_path / "stopped_a").read_text() == "cleanly"


def test_closing_ends_what_runs(executor: Executor, tmp_path: Path) -> None:
    executor.submit(job(tmp_path, "a", WAITS))
    pid = int(appears(tmp_path / "pid_a"))
    executor.close()
    deadline = time.monotonic() + _WAIT_SECONDS
    while _is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="a process is tied to its parent on Linux only")
def test_when_a_worker_is_killed_its_training_dies_with_it(tmp_path: Path) -> None:
    code = (
        "import sys, json; from pathlib import Path; from unplateau.search.executors.contract import Job, run_here;"
        "run_here(Job('a', tuple(json.loads(sys.argv[1])), Path('said.txt'), Path.cwd()))"
    )
    import subprocess

    command = json.dumps([sys.executable, "-c", WAITS, "a"])
    worker = subprocess.Popen([sys.executable, "-c", code, command], cwd=tmp_path)
    pid = int(appears(tmp_path / "pid_a"))
    worker.kill()
    worker.wait()
    deadline = time.monotonic() + _WAIT_SECONDS
    while _is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_alive(pid)
    assert not (tmp_path / "stopped_a").exists()
