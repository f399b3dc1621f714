"""Where a run comes from: versions, machine, source commit, command line. Nothing that identifies a person."""

import importlib.metadata
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_PACKAGES = ("unplateau", "torch", "torchvision", "timm", "numpy", "pillow")


def provenance(command_line: Sequence[str], *, device: str, threads: int) -> dict[str, Any]:
    """Return what is needed to repeat a run, as plain data for `model_info.json`."""
    return {
        "command_line": list(command_line),
        "versions": {name: _version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": device,
        "threads": threads,
        "source": source_commit(Path(__file__).resolve().parents[2]),
        "executable": Path(sys.executable).name,
    }


def source_commit(folder: Path) -> dict[str, Any]:
    """Return the git commit of `folder` and whether files differ from it; empty outside a checkout or without git."""
    git = shutil.which("git")
    if git is None or not (folder / ".git").exists():
        return {}
    commit = _output([git, "-C", str(folder), "rev-parse", "HEAD"])
    changed = _output([git, "-C", str(folder), "status", "--porcelain", "--untracked-files=no"])
    return {"commit": commit, "changed": bool(changed)} if commit else {}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
