"""Chooses where the trials of a search run."""

from __future__ import annotations

from typing import Any

from unplateau.base.errors import UsageError
from unplateau.config.entries import decode
from unplateau.search.executors.contract import Executor
from unplateau.workflows.searching.search_request import SearchRequest, Workers
from unplateau.workflows.searching.search_setup import LAUNCHER

EXECUTORS = ("local", "ray", "slurm")
_SLURM_JOBS = 4  # in the queue at the same time, where no number is given


def make_executor(request: SearchRequest) -> Executor:
    """Return the executor that was asked for.

    Raises:
        UsageError: there is none of that name, what it needs is missing, or it cannot be reached.
    """
    workers = request.workers
    if workers.executor == "local":
        from unplateau.search.executors.local import LocalExecutor, slots_of

        return LocalExecutor(slots_of(workers.count, per_gpu=workers.per_gpu))
    if workers.executor == "ray":
        from unplateau.search.executors.ray_cluster import RayExecutor

        return RayExecutor(workers.count, address=workers.address, cpus=workers.cpus, gpus=workers.gpus)
    if workers.executor == "slurm":
        from unplateau.search.executors.slurm import SlurmExecutor

        options = _options(workers)
        folder = (request.output_dir / LAUNCHER / "submitit").absolute()
        return SlurmExecutor(folder, workers.count or _SLURM_JOBS, options, cluster=str(options.pop("cluster", "slurm")))
    raise UsageError(f"--executor {workers.executor}: expected one of {', '.join(EXECUTORS)}.")


def _options(workers: Workers) -> dict[str, Any]:
    return {key: decode(value) for key, value in workers.options}
