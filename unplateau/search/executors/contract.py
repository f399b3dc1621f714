"""The contract of all executors: a trial in, a run folder out.

A job is a command line; it writes its run folder by itself and can be resumed from it, wherever it runs next. An executor tells
that a job ended and how, never what came of it: that is read from the run folder. All machines see the same files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from unplateau.base.process import ChildProcess

_LOOK_EVERY_SECONDS = 1.0


@dataclass(frozen=True)
class Job:
    """One process to run."""

    name: str
    """Of the trial."""
    command: tuple[str, ...]
    output: Path
    """The file that what it prints goes to."""
    folder: Path
    """Where it works; an absolute path that every machine sees."""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def stop_file(self) -> Path:
        """Where it is there, a job on another machine is to end; signals do not reach that far."""
        return self.output.with_suffix(".stop")


@dataclass(frozen=True)
class JobEnd:
    """How a job ended."""

    name: str
    exit_code: int
    """Negative: the signal that killed it. `LOST` where its machine or worker is gone."""
    words: str = ""
    """The last it printed."""


LOST = -9
"""A worker that is gone looks like a kill."""
STOPPED = 130


class Executor(ABC):
    """Runs jobs, several at a time."""

    @property
    @abstractmethod
    def num_slots(self) -> int:
        """How many jobs run at the same time."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Begin a job, at once or as soon as there is room."""

    @abstractmethod
    def ended(self, wait_seconds: float) -> list[JobEnd]:
        """Wait at most so long for jobs to end; return those that have, each once."""

    @abstractmethod
    def ask_to_stop(self) -> None:
        """Ask every job for a clean, resumable end."""

    @abstractmethod
    def close(self) -> None:
        """End what still runs, at once, and give everything back."""


def run_here(job: Job) -> tuple[int, str]:
    """Run a job to its end on this machine; return its exit code and last words. For workers of a cluster.

    It is asked to stop once the coordinator has made its stop file. Where the worker is killed, the job dies with it.
    """
    if job.stop_file.exists():
        return STOPPED, "stopped before it began"
    child = ChildProcess(job.command, job.output, environment=job.environment, folder=job.folder, dies_with_us=True)
    was_asked = False
    while (code := child.wait(_LOOK_EVERY_SECONDS)) is None:
        if job.stop_file.exists() and not was_asked:
            was_asked = True
            child.ask_to_stop()
    return code, child.last_words()
