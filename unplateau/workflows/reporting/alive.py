"""By when the page of something that trains has to be written again. A later one means that the process is gone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from unplateau.report.content import Live
from unplateau.runs.layout import RunFolder
from unplateau.runs.record import EpochRecord

_EPOCHS_LATE = 3  # the test set, scored before a run ends, can take longer than an epoch
_SECONDS_LATE = 60.0


def live(folder: Path, epochs: Sequence[EpochRecord], *, wait_seconds: float = 0.0) -> Live:
    """Return by when a page has to be written again.

    Args:
        folder: of the run or the runs, for the command that asks.
        epochs: finished ones; the longest counts.
        wait_seconds: how long the page may be left out since it costs too much.
    """
    longest = max((epoch.seconds for epoch in epochs), default=0.0)
    due = max(0.0, wait_seconds) + _EPOCHS_LATE * longest + _SECONDS_LATE
    return Live(time.time(), due, f"unplateau report {folder.as_posix()}")


def last_sign(folder: RunFolder) -> str:
    """Return when a run last wrote one of its records, in words; empty where it never did."""
    times = [file.stat().st_mtime for file in (folder.metrics, folder.log, folder.checkpoint_manifest) if file.exists()]
    return f"{datetime.fromtimestamp(max(times)):%Y-%m-%d %H:%M:%S}" if times else ""
