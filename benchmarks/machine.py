"""What every result of a benchmark says of where it was measured."""

import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path

import torch


def machine_line() -> str:
    """Return processor, cores, threads, versions and date in one line; no names of hosts or folders."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "torchvision", "timm", "numpy"))
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else processor()
    return (
        f"{device}, {os.cpu_count()} cores, {torch.get_num_threads()} threads; Python {platform.python_version()}, {versions}; "
        f"{time.strftime('%Y-%m-%d')}"
    )


def processor() -> str:
    """Return the processor's name where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            return next(line.split(":", 1)[1].strip() for line in stream if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def commit_line() -> str:
    """Return which state of the code this is: its commit, and whether files were changed since; empty outside of git."""
    here = Path(__file__).parent
    try:
        words = [["rev-parse", "--short=10", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]]
        commit, changed = (
            subprocess.run(["git", "-C", str(here), *one], capture_output=True, text=True, check=True).stdout.strip()
            for one in words
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"commit {commit}{' with changed files' if changed else ''}"
