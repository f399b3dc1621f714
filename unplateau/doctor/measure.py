"""Reads the facts of this machine. No verdicts (`judge`); nothing here raises because something is broken.

Torch is imported in a process of its own: a broken installation can raise, hang, or end the process that imports it.
"""

import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unplateau.doctor import torch_facts
from unplateau.doctor.facts import Driver, Gpu, Package, Place, Torch

Run = Callable[[Sequence[str], float], tuple[int, str, str]]
"""Runs a command for at most so many seconds: exit code, output, errors. 127: there is no such command; 124: it took longer."""

_IMPORT_SECONDS = 180.0  # a cold disk and a virus scanner can take a minute over torch
_DRIVER_SECONDS = 20.0
IMPORTED = ("torch", "torchvision", "timm")
NEEDED = ("numpy", "pillow", "pydantic", "PyYAML", "typer", "rich", "safetensors", "jinja2", "optuna")
OPTIONAL = ("onnxruntime", "onnx", "onnxscript", "scipy", "cmaes", "simplejpeg", "ray", "submitit", "tensorboard", "wandb")
VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")


def run(command: Sequence[str], seconds: float) -> tuple[int, str, str]:
    """Run a command; see `Run`."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return 124, "", f"no end after {seconds:.0f} seconds"
    except OSError as error:
        return 127, "", str(error)
    return done.returncode, done.stdout, done.stderr


def read_torch(run: Run = run) -> tuple[Torch | None, dict[str, str]]:
    """Import torch, torchvision and timm in another process.

    Returns:
        What torch says (None where it cannot be imported), and by package the error of importing it; "" for none.
        A package that is not in it was not reached.
    """
    source = Path(torch_facts.__file__).read_text(encoding="utf-8")
    code, output, errors = run([sys.executable, "-P", "-c", source], _IMPORT_SECONDS)
    found = [_parsed(line) for line in output.splitlines() if line.startswith(torch_facts.MARK)]
    described = next((line["torch"] for line in found if "torch" in line), None)
    imported = {str(line["package"]): str(line["error"]) for line in found if "package" in line}
    if code and len(imported) < len(IMPORTED) and not any(imported.values()):
        missed = next(name for name in IMPORTED if name not in imported)
        imported[missed] = f"the process ended with code {code} while importing it. {_last_line(errors)}".strip()
    return _torch(described) if described else None, imported


def _parsed(line: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(line.removeprefix(torch_facts.MARK))
    return content


def _torch(plain: dict[str, Any]) -> Torch:
    gpus = tuple(Gpu(gpu["name"], gpu["memory_bytes"], (gpu["capability"][0], gpu["capability"][1])) for gpu in plain["gpus"])
    return Torch(**{**plain, "gpus": gpus, "architectures": tuple(plain["architectures"])})


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


def read_packages(errors: Mapping[str, str]) -> dict[str, Package]:
    """Return the packages that matter, by name; `errors` are those of importing them."""
    return {name: _package(name, errors.get(name, "")) for name in (*IMPORTED, *NEEDED, *OPTIONAL)}


def _package(name: str, error: str) -> Package:
    try:
        version, requires = importlib.metadata.version(name), importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return Package(name)
    return Package(name, version, error, needs_torch=needs_torch(requires))


def needs_torch(requirements: Sequence[str]) -> str:
    """Return what a package's metadata ask of torch.

    >>> needs_torch(["numpy", "torch (==2.6.0)", "pillow !=8.3.*,>=5.3.0"])
    '==2.6.0'
    """
    for requirement in requirements:
        found = re.fullmatch(r"torch(?![\w-])\s*\(?([^();]*)\)?\s*(;.*)?", requirement.strip())
        if found is not None:
            return found[1].strip()
    return ""


def read_driver(run: Run = run) -> Driver | None:
    """Ask the NVIDIA driver's own tool; None where there is neither the tool nor a driver."""
    tool = shutil.which("nvidia-smi") or "nvidia-smi"
    code, rows, errors = run([tool, "--query-gpu=driver_version,name", "--format=csv,noheader"], _DRIVER_SECONDS)
    if code == 127:
        return Driver(problem="nvidia-smi is missing") if Path("/proc/driver/nvidia/version").exists() else None
    pairs = [tuple(part.strip() for part in row.split(",", 1)) for row in rows.splitlines() if "," in row]
    if code or not pairs:
        return Driver(problem=_last_line(errors) or _last_line(rows) or f"nvidia-smi ended with code {code}")
    _, page, _ = run([tool], _DRIVER_SECONDS)
    highest = re.search(r"CUDA (?:UMD )?Version:\s*([\d.]+)", page)
    return Driver(pairs[0][0], highest[1] if highest else "", tuple(name for _, name in pairs))


def read_place(purpose: str, folder: Path) -> Place:
    """Return what is free where `folder` is or would be made."""
    existing = next((place for place in (folder, *folder.absolute().parents) if place.exists()), Path.cwd())
    return Place(purpose, str(folder), shutil.disk_usage(existing).free, os.access(existing, os.W_OK))


def read_memory(root: Path = Path("/")) -> tuple[int, int]:
    """Return the memory of the machine, or of its container where that has less, and what is free of it, in bytes.

    Args:
        root: of the file system, for Linux.

    Returns:
        (all, free); zeros where the system does not say.
    """
    if platform.system() == "Windows":
        return _windows_memory()
    try:
        text = (root / "proc/meminfo").read_text(encoding="utf-8")
    except OSError:
        return _posix_memory()
    sizes = {name: 1024 * int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    total, free = sizes.get("MemTotal", 0), sizes.get("MemAvailable", 0)
    limit = _number(root / "sys/fs/cgroup/memory.max")
    if limit is None or limit >= total:
        return total, free
    return limit, min(free, max(0, limit - (_number(root / "sys/fs/cgroup/memory.current") or 0)))


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _posix_memory() -> tuple[int, int]:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0, 0
    return total, total  # macOS: what is free is not said, and most of it can be freed


def _windows_memory() -> tuple[int, int]:
    import ctypes

    class Status(ctypes.Structure):
        """MEMORYSTATUSEX of the Windows API."""

        _fields_ = [
            ("length", ctypes.c_ulong), ("load", ctypes.c_ulong), ("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong),
            ("others", ctypes.c_ulonglong * 5),
        ]  # fmt: skip

    status = Status(length=ctypes.sizeof(Status))
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):  # type: ignore[attr-defined]
        return 0, 0
    return status.total, status.free


def read_shared_memory(folder: Path = Path("/dev/shm")) -> int | None:
    """Return the size of the memory that loader workers hand batches over in; None where the system has no such folder."""
    return shutil.disk_usage(folder).total if folder.is_dir() else None


def read_environment() -> dict[str, str]:
    """Return the variables that change what torch does."""
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}


def usable_cores() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
