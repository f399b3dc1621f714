"""A whole search on Ray and on submitit; a worker that is killed in the middle of a trial costs nothing but its last epoch."""

import importlib.util
import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.workflows.searching.search_desk import Desk
from unplateau.workflows.searching import search
from unplateau.workflows.searching.search_executor import make_executor
from unplateau.workflows.searching.search_request import Workers

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of Ray's and submitit's own
_ROOT = str(Path(__file__).resolve().parents[3])


def _needs(package: str) -> None:
    if importlib.util.find_spec(package) is None or sys.platform == "win32":
        pytest.skip(f"{package} is not installed")


def _kill_the_worker_of(desk: Desk, name: str, after_epoch: int, done: list[int]) -> None:
    """Wait until a trial has trained some epochs, then kill the worker that its process belongs to."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        pids = [call["pid"] for call in desk.calls if call["name"] == name and call["from"] < after_epoch]
        if pids and (name, after_epoch) in desk.epochs:
            worker = _parent(pids[-1])
            os.kill(worker, signal.SIGKILL)
            done.append(pids[-1])
            return
        time.sleep(0.02)


def _parent(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid:"))


def _search_with_a_killed_worker(desk: Desk, workers: Workers) -> None:
    desk.behave(seconds=0.4)
    done: list[int] = []
    killer = threading.Thread(target=_kill_the_worker_of, args=(desk, "trial_000_base", 5, done))
    killer.start()
    assert desk.run(max_trials=4, workers=workers).exit_code == 0
    killer.join()
    assert done, "the worker was killed"
    base = desk.trials[0]
    assert base["state"] == "finished" and base["epochs"] == 9
    calls = [call for call in desk.calls if call["name"] == "trial_000_base"]
    assert calls[-1]["from"] >= 4 and calls[-1]["pid"] != done[0], "another process went on from the checkpoint"
    repeated = [epoch for epoch, count in Counter(desk.epochs).items() if count > 1]
    assert len(repeated) <= 1, "no epoch but the one that was cut off is trained twice"
    assert len(desk.trials) == 4


def test_on_a_ray_cluster_with_two_workers_a_killed_worker_s_trial_is_continued_by_another(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _needs("ray")
    import ray

    monkeypatch.setattr(search, "make_executor", make_executor)
    if ray.is_initialized():
        ray.shutdown()
    path = {"PYTHONPATH": _ROOT}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": path})
    try:
        _search_with_a_killed_worker(desk, Workers("ray", 2))
    finally:
        ray.shutdown()


def test_on_submitit_s_local_executor_a_killed_worker_s_trial_is_continued_by_another(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _needs("submitit")
    monkeypatch.setattr(search, "make_executor", make_executor)
    monkeypatch.setenv("PYTHONPATH", _ROOT)
    _search_with_a_killed_worker(desk, Workers("slurm", 2, options=(("cluster", "local"),)))
