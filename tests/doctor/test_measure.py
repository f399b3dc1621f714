"""Facts are read from what tools and the system say, also where those fail."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from unplateau.doctor import measure
from unplateau.doctor.facts import Driver
from unplateau.doctor.torch_facts import MARK

SMI_PAGE = "| NVIDIA-SMI 550.54    Driver Version: 550.54    CUDA Version: 12.4     |"
TORCH_LINE = {
    "cuda_build": "12.4", "hip_build": "", "gpus": [{"name": "RTX 3060", "memory_bytes": 12, "capability": [8, 6]}],
    "architectures": ["sm_86"], "cuda_problem": "", "has_mps": False, "computes_bf16_on_cpu": False, "num_threads": 4,
}  # fmt: skip


def says(*lines: dict[str, object], code: int = 0, errors: str = "") -> measure.Run:
    output = "\n".join(["a warning of some library", *(MARK + json.dumps(line) for line in lines)])
    return lambda command, seconds: (code, output, errors)


def test_torch_is_asked_in_a_process_of_its_own() -> None:
    torch, errors = measure.read_torch()
    import torch as imported

    assert torch is not None and torch.cuda_build == (imported.version.cuda or "")
    assert errors == {"torch": "", "torchvision": "", "timm": ""}


def test_what_a_torch_with_a_gpu_says_is_read() -> None:
    torch, errors = measure.read_torch(says({"package": "torch", "error": ""}, {"torch": TORCH_LINE}))
    assert torch is not None and torch.gpus[0].capability == (8, 6)
    assert errors == {"torch": ""}


def test_a_process_that_dies_while_importing_is_an_error_of_that_package() -> None:
    torch, errors = measure.read_torch(says(code=-11, errors="Segmentation fault"))
    assert torch is None and errors == {"torch": "the process ended with code -11 while importing it. Segmentation fault"}
    torch, errors = measure.read_torch(says({"package": "torch", "error": ""}, {"torch": TORCH_LINE}, code=139))
    assert torch is not None and errors["torchvision"].startswith("the process ended with code 139")


def test_an_import_that_raises_is_an_error_of_that_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist\\nand more')", encoding="utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    torch, errors = measure.read_torch()
    assert torch is None and errors == {"torch": "RuntimeError: operator torchvision::nms does not exist"}


def test_a_command_that_is_missing_or_hangs_is_told_by_its_code() -> None:
    assert measure.run(["a-command-nobody-has"], 5)[0] == 127
    assert measure.run([sys.executable, "-c", "import time; time.sleep(30)"], 0.2)[0] == 124


def test_the_driver_is_read_from_nvidia_smi() -> None:
    def smi(command: Sequence[str], seconds: float) -> tuple[int, str, str]:
        return (0, "550.54, NVIDIA GeForce RTX 3060\n550.54, Tesla T4\n", "") if len(command) > 1 else (0, SMI_PAGE, "")

    assert measure.read_driver(smi) == Driver("550.54", "12.4", ("NVIDIA GeForce RTX 3060", "Tesla T4"))


def test_a_driver_that_does_not_answer_says_why() -> None:
    broken = measure.read_driver(lambda command, seconds: (9, "NVIDIA-SMI has failed because it couldn't communicate", ""))
    assert broken is not None and "couldn't communicate" in broken.problem


def test_a_machine_without_nvidias_tool_has_no_driver() -> None:
    found = measure.read_driver(lambda command, seconds: (127, "", "no such file"))
    assert (found is None) == (not Path("/proc/driver/nvidia/version").exists())


def test_packages_are_read_from_their_metadata() -> None:
    packages = measure.read_packages({"timm": "ImportError: x"})
    assert packages["numpy"].version and packages["timm"].error == "ImportError: x"
    assert packages["torchvision"].needs_torch


@pytest.mark.parametrize(
    ("requirements", "needed"),
    [
        (["torch==2.6.0"], "==2.6.0"),
        (["torchaudio==1", "torch (>=2.14.0)"], ">=2.14.0"),
        (["torch>=2; python_version < '4'"], ">=2"),
        (["torch-geometric>1", "numpy"], ""),
    ],
)
def test_what_a_package_asks_of_torch(requirements: list[str], needed: str) -> None:
    assert measure.needs_torch(requirements) == needed


def test_memory_is_that_of_the_container_where_it_has_less(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal:       8000 kB\nMemFree: 1 kB\nMemAvailable:   6000 kB\n", encoding="utf-8")
    assert measure.read_memory(tmp_path) == (8000 * 1024, 6000 * 1024)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n", encoding="utf-8")
    assert measure.read_memory(tmp_path) == (8000 * 1024, 6000 * 1024)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text(str(4000 * 1024), encoding="utf-8")
    (tmp_path / "sys/fs/cgroup/memory.current").write_text(str(1000 * 1024), encoding="utf-8")
    assert measure.read_memory(tmp_path) == (4000 * 1024, 3000 * 1024)


def test_a_system_without_meminfo_says_what_it_has(tmp_path: Path) -> None:
    total, free = measure.read_memory(tmp_path)
    assert total > 0 and free == total


def test_a_folder_that_is_not_there_yet_is_measured_where_it_would_be_made(tmp_path: Path) -> None:
    place = measure.read_place("runs", tmp_path / "a" / "b")
    assert place.free_bytes > 0 and place.is_writable and not (tmp_path / "a").exists()
