"""One training in a process of its own: our own train command, so that running out of memory or crashing costs one run only."""

import sys
from collections.abc import Sequence
from pathlib import Path

from unplateau.base.process import ChildProcess as TrainProcess

__all__ = ["TrainProcess", "train_command"]


def train_command(config_file: Path, run_name: str, overrides: Sequence[str], *, flags: Sequence[str] = ()) -> list[str]:
    """Return the command line of one training; `flags` such as "--resume"."""
    words = ["--config-file", str(config_file), "--run-name", run_name, "--quiet", *flags]
    return [sys.executable, "-m", "unplateau.cli.main", "train", *words, *overrides]
