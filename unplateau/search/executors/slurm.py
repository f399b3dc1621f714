"""Slurm: each job is a Slurm job, through submitit. The coordinator waits on the login node, or in a job of its own.

submitit hands results over as pickles, which we do not read: how a job ended is written as plain text beside what it printed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unplateau.base.errors import UsageError
from unplateau.base.files import read_json, write_json
from unplateau.base.process import last_words
from unplateau.search.executors.contract import LOST, Executor, Job, JobEnd, run_here

_LOOK_EVERY_SECONDS = 0.5
_DAY_MINUTES = 24 * 60  # submitit's own default is five minutes
_BEGUN = "slurm_jobs.json"


class SlurmExecutor(Executor):
    """Runs jobs through submitit."""

    def __init__(self, folder: Path, num_slots: int, options: Mapping[str, Any], *, cluster: str = "slurm") -> None:
        """Prepare.

        Args:
            folder: where submitit keeps its scripts and logs; every node sees it.
            num_slots: jobs in the queue at the same time.
            options: what sbatch is told, by submitit's names: timeout_min, gpus_per_node, cpus_per_task, mem_gb, slurm_partition.
            cluster: "slurm", or "local" to try it without one.

        Raises:
            UsageError: submitit is not installed, or does not know an option.
        """
        try:
            import submitit
        except ModuleNotFoundError as error:
            raise UsageError("--executor slurm needs submitit: pip install 'unplateau[submitit]'.") from error
        self._folder, self._num_slots = folder, num_slots
        self._jobs: dict[str, tuple[Job, Any]] = {}
        try:
            self._executor = submitit.AutoExecutor(folder, cluster=cluster)
            self._executor.update_parameters(**{"timeout_min": _DAY_MINUTES, "name": "unplateau", **options})
        except (RuntimeError, NameError, ValueError, TypeError) as error:
            raise UsageError(f"--executor slurm: {error}") from error
        self._cancel_earlier(submitit)

    @property
    def num_slots(self) -> int:
        """How many jobs are queued or run at the same time."""
        return self._num_slots

    def submit(self, job: Job) -> None:
        """Queue a job."""
        for earlier in (_code_file(job), job.stop_file, job.output):
            earlier.unlink(missing_ok=True)
        self._jobs[job.name] = (job, self._executor.submit(_run_and_tell, job))
        write_json(self._folder / _BEGUN, [queued.job_id for _, queued in self._jobs.values()])

    def ended(self, wait_seconds: float) -> list[JobEnd]:
        """Wait at most so long for jobs to end; return those that have, each once."""
        deadline = time.monotonic() + wait_seconds
        while True:
            found = [self._take(name) for name, (_, queued) in list(self._jobs.items()) if queued.done()]
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            time.sleep(min(_LOOK_EVERY_SECONDS, left))

    def ask_to_stop(self) -> None:
        """Ask every job for a clean, resumable end; one that has not begun is taken out of the queue."""
        for job, queued in self._jobs.values():
            job.stop_file.touch()
            if not job.output.exists():
                queued.cancel(check=False)

    def close(self) -> None:
        """Cancel what is left; the stop file ends a job that a cancelled controller leaves behind."""
        for job, queued in self._jobs.values():
            job.stop_file.touch()
            queued.cancel(check=False)
        self._jobs.clear()

    def _take(self, name: str) -> JobEnd:
        job, _ = self._jobs.pop(name)
        try:
            code = int(_code_file(job).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            code = LOST
        return JobEnd(name, code, last_words(job.output))

    def _cancel_earlier(self, submitit: Any) -> None:
        """Jobs of a coordinator that was killed would train beside those that take over."""
        if self._executor.cluster != "slurm" or not (self._folder / _BEGUN).exists():
            return
        for job_id in read_json(self._folder / _BEGUN):
            submitit.SlurmJob(self._folder, str(job_id)).cancel(check=False)


def _run_and_tell(job: Job) -> None:
    """What runs on the node."""
    code, _ = run_here(job)
    _code_file(job).write_text(str(code), encoding="utf-8")


def _code_file(job: Job) -> Path:
    return job.output.with_suffix(".exit_code")
