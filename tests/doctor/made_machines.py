"""Machines made up for the tests: a healthy one, and what can be changed about it."""

from dataclasses import replace
from typing import Any

from unplateau.doctor.facts import Check, Data, DataSet, Driver, Gpu, Machine, Package, Place, Torch, Wanted, Weights
from unplateau.doctor.judge import DEFAULT, judge
from unplateau.doctor.measure import OPTIONAL
from unplateau.doctor.versions import MINIMUM

GIGABYTE = 10**9
CARD = Gpu("NVIDIA GeForce RTX 3060", 12 * GIGABYTE, (8, 6))
DRIVER = Driver("550.54", "12.4", (CARD.name,))
TORCH = Torch(
    cuda_build="12.4", gpus=(CARD,), architectures=("sm_50", "sm_80", "sm_86", "sm_90"), computes_bf16_on_cpu=True, num_threads=8
)
CPU_ONLY = Torch(num_threads=8)


def healthy() -> Machine:
    """A desktop on which nothing is wrong."""
    packages = {name: Package(name, "99.0") for name in (*MINIMUM, *OPTIONAL)}
    packages["torch"] = Package("torch", "2.6.0+cu124")
    packages["torchvision"] = Package("torchvision", "0.21.0+cu124", needs_torch="==2.6.0")
    return Machine(
        system="Linux", python=(3, 12, 1), packages=packages, torch=TORCH, driver=DRIVER, num_cores=8,
        memory_bytes=32 * GIGABYTE, free_memory_bytes=20 * GIGABYTE, shared_memory_bytes=16 * GIGABYTE,
        places=(Place("runs", "logs", 100 * GIGABYTE, True), Place("image cache", "cache", 100 * GIGABYTE, True)),
        data=Data("/data", "REID_DATA", True, (DataSet("Market1501", 12936, 3368, 15913),)),
        weights=(Weights("pretrained", address="https://huggingface.co", answers=True),),
    )  # fmt: skip


def with_package(machine: Machine, name: str, **changes: Any) -> Machine:
    """The same machine with one package changed."""
    return replace(machine, packages={**machine.packages, name: replace(machine.packages[name], **changes)})


def check_of(machine: Machine, subject: str, wanted: Wanted = DEFAULT) -> Check:
    """The worst line on a subject."""
    found = [check for check in judge(machine, wanted) if check.subject == subject]
    return max(found, key=lambda check: ("ok", "warning", "problem").index(check.level))
