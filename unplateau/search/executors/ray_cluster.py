"""Ray: each job is a task of a Ray cluster, one machine or many, which all see the same files."""

from __future__ import annotations

import os
import time
from typing import Any

from unplateau.base.errors import UsageError, first_line
from unplateau.search.executors.contract import LOST, Executor, Job, JobEnd, run_here


class RayExecutor(Executor):
    """Runs jobs as Ray tasks."""

    def __init__(self, num_slots: int | None = None, *, address: str | None = None, cpus: float = 1, gpus: float = 0) -> None:
        """Join a cluster, or start one on this machine.

        Args:
            num_slots: jobs at the same time; None = as many as the cluster's cores and GPUs hold.
            address: such as "auto" or "ray://head:10001"; None = $RAY_ADDRESS, else a cluster of this machine alone.
            cpus, gpus: of one job; half a GPU is 0.5.

        Raises:
            UsageError: Ray is not installed, or the cluster cannot be reached.
        """
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # as Ray will do: leave GPUs alone where gpus is 0
        try:
            import ray
        except ModuleNotFoundError as error:
            raise UsageError("--executor ray needs Ray: pip install 'unplateau[ray]'.") from error
        self._ray = ray
        self._owns = not ray.is_initialized()
        try:
            if self._owns:
                ray.init(
                    address=address, log_to_driver=False, include_dashboard=None if address else False, runtime_env=_same_code()
                )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UsageError(f"--executor ray: the cluster {address or ''} cannot be reached ({error}).") from error
        self._options = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": 0}  # we resume; Ray would start over
        self._num_slots = num_slots or self._room(cpus, gpus)
        self._jobs: dict[Any, Job] = {}

    @property
    def num_slots(self) -> int:
        """How many jobs run at the same time."""
        return self._num_slots

    def submit(self, job: Job) -> None:
        """Begin a job where the cluster has room."""
        job.stop_file.unlink(missing_ok=True)
        task = self._ray.remote(run_here).options(name=job.name, **self._options)
        self._jobs[task.remote(job)] = job

    def ended(self, wait_seconds: float) -> list[JobEnd]:
        """Wait at most so long for jobs to end; return those that have, each once."""
        if not self._jobs:
            time.sleep(wait_seconds)
            return []
        done, _ = self._ray.wait(list(self._jobs), num_returns=1, timeout=wait_seconds)
        return [self._take(reference) for reference in done]

    def ask_to_stop(self) -> None:
        """Ask every job for a clean, resumable end; one that has not begun will not."""
        for job in self._jobs.values():
            job.stop_file.touch()

    def close(self) -> None:
        """End what still runs, and leave the cluster."""
        for reference in self._jobs:
            self._ray.cancel(reference, force=True)
        self._jobs.clear()
        if self._owns:
            self._ray.shutdown()

    def _take(self, reference: Any) -> JobEnd:
        job = self._jobs.pop(reference)
        try:
            code, words = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:  # its worker or machine is gone, or it was cancelled
            return JobEnd(job.name, LOST, first_line(error))
        return JobEnd(job.name, code, words)

    def _room(self, cpus: float, gpus: float) -> int:
        has = self._ray.cluster_resources()
        by_cpus = has.get("CPU", 0) / cpus if cpus else float("inf")
        by_gpus = has.get("GPU", 0) / gpus if gpus else float("inf")
        return max(1, int(min(by_cpus, by_gpus)))


def _same_code() -> dict[str, Any]:
    """Workers import this package as we do, from a checkout too."""
    path = os.environ.get("PYTHONPATH")
    return {"env_vars": {"PYTHONPATH": path}} if path else {}
