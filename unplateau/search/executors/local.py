"""This machine: slots that run one job at a time each. A GPU has one slot or several; without a GPU the cores are shared."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence

from unplateau.base.process import ChildProcess
from unplateau.search.executors.contract import Executor, Job, JobEnd

_LOOK_EVERY_SECONDS = 0.2
_STOP_SECONDS = 5.0

Slot = Mapping[str, str]
"""Environment variables of what runs in it."""


def slots_of(num_slots: int | None, *, per_gpu: int = 1, environment: Mapping[str, str] = os.environ) -> tuple[Slot, ...]:
    """Return the slots of this machine.

    Args:
        num_slots: how many; None = `per_gpu` for every GPU, one where there is none.
        per_gpu: jobs that share a GPU.
        environment: CUDA_VISIBLE_DEVICES and OMP_NUM_THREADS are respected where they are set.
    """
    gpus = _gpus(environment)
    if gpus:
        shared = [gpu for _ in range(per_gpu) for gpu in gpus]
        count = num_slots or len(shared)
        return tuple({"CUDA_VISIBLE_DEVICES": shared[place % len(shared)]} for place in range(count))
    count = num_slots or 1
    if count == 1 or "OMP_NUM_THREADS" in environment:
        return ({},) * count
    threads = max(1, (os.cpu_count() or 1) // count)
    return ({"OMP_NUM_THREADS": str(threads)},) * count


class LocalExecutor(Executor):
    """Runs jobs as processes of this machine."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = list(slots)
        self._running: dict[int, tuple[Job, ChildProcess]] = {}

    @property
    def num_slots(self) -> int:
        """How many jobs run at the same time."""
        return len(self._slots)

    def submit(self, job: Job) -> None:
        """Begin a job in a free slot."""
        slot = next(number for number in range(len(self._slots)) if number not in self._running)
        environment = {**self._slots[slot], **job.environment}
        self._running[slot] = (job, ChildProcess(job.command, job.output, environment=environment, folder=job.folder))

    def ended(self, wait_seconds: float) -> list[JobEnd]:
        """Wait at most so long for jobs to end; return those that have, each once."""
        deadline = time.monotonic() + wait_seconds
        while True:
            found = [self._take(slot) for slot, (_, child) in list(self._running.items()) if child.wait(0) is not None]
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            time.sleep(min(_LOOK_EVERY_SECONDS, left))

    def ask_to_stop(self) -> None:
        """Ask every job for a clean, resumable end."""
        for _, child in self._running.values():
            child.ask_to_stop()

    def close(self) -> None:
        """End what still runs, at once."""
        for _, child in self._running.values():
            child.kill()
        self._running.clear()

    def _take(self, slot: int) -> JobEnd:
        job, child = self._running.pop(slot)
        code = child.wait(_STOP_SECONDS)
        assert code is not None  # it has ended
        return JobEnd(job.name, code, child.last_words())


def _gpus(environment: Mapping[str, str]) -> list[str]:
    """The GPUs of this machine, asked of the driver's own tool, so that nothing of CUDA is loaded here."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [gpu.strip() for gpu in visible.split(",") if gpu.strip() not in ("", "-1")]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return [str(number) for number in range(len(lines))] if listed.returncode == 0 else []
