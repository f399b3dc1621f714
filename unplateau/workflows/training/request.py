"""What can be asked of a training, and what comes back. Plain data."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from unplateau.runs.layout import RunFolder
from unplateau.runs.record import EpochRecord, RetrievalMetrics, StopReason


@dataclass(frozen=True)
class TrainRequest:
    """One training as it was asked for on a command line."""

    config_file: Path | None
    run_name: str
    overrides: tuple[str, ...] = ()
    """Trailing KEY VALUE pairs."""
    resume: bool = False
    allow_changes: bool = False
    """Resume although keys differ that change the result."""
    skip_preflight: bool = False
    refit: bool = False
    restart: bool = False
    """Begin anew; an earlier run of that name is kept under another one."""
    is_quiet: bool = False
    on_epoch: Callable[[EpochRecord], None] | None = None
    """Told of each finished epoch; for launchers."""

    @property
    def command(self) -> str:
        """The command line that asks for this run again; what is appended to it wins over its own overrides."""
        return self.command_as(self.run_name)

    def command_as(self, run_name: str) -> str:
        """Return the command line that asks for the same under this name."""
        config = ("--config-file", str(self.config_file)) if self.config_file else ()
        words = ("python", "train_research_grade.py", *config, "--run-name", run_name, *self.overrides)
        return command_line(words)


@dataclass(frozen=True)
class TrainOutcome:
    """What a training left behind."""

    folder: RunFolder
    reason: StopReason
    tests: tuple[RetrievalMetrics, ...] = ()
    was_finished: bool = False
    """The run had ended before; nothing was done."""


def command_line(words: Iterable[str]) -> str:
    """Return a command line that can be copied whole, whatever shell it is pasted into."""
    return " ".join(map(_quoted, words))


def _quoted(text: str) -> str:
    """Quoted so that cmd.exe, PowerShell and POSIX shells read one word."""
    return f'"{text}"' if not text or set(text) & set(" ()[]{}*?;&|<>,'") else text
