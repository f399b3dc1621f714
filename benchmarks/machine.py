"""What every result of a benchmark says of where it was measured."""

import importlib.metadata
import os
import platform
import time

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
