"""Which runs a benchmark is made of, and where their stories are kept: one file each, so that a broken-off benchmark goes on."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.plateaubench.backbones import CHANGES, STANDARD
from benchmarks.plateaubench.data_sets import DATA
from benchmarks.plateaubench.data_sets import STANDARD as STANDARD_DATA
from benchmarks.plateaubench.experiment import Experiment, build
from benchmarks.plateaubench.fault import Fault
from benchmarks.plateaubench.faults_of_data import FAULTS as OF_DATA
from benchmarks.plateaubench.faults_of_model import FAULTS as OF_MODEL
from benchmarks.plateaubench.faults_of_optimisation import FAULTS as OF_OPTIMISATION
from benchmarks.plateaubench.healthy import HEALTHY, QUICK, Healthy
from benchmarks.plateaubench.recipe import RECIPE, load
from benchmarks.plateaubench.training import Story
from unplateau.base.errors import UsageError
from unplateau.base.files import write_text

FAULTS: tuple[Fault, ...] = (*OF_OPTIMISATION, *OF_DATA, *OF_MODEL)
QUICK_BASES, _FULL_BASES = 5, 10


@dataclass(frozen=True)
class Planned:
    """One run."""

    group: str
    """ "fault" or "healthy"."""
    name: str
    seed: int
    fault: Fault | None = None
    healthy: Healthy = HEALTHY[0]
    backbone: str = STANDARD
    data: str = STANDARD_DATA

    @property
    def file(self) -> str:
        """Name of its story."""
        return f"{self.group}-{self.name.replace('/', '_')}-{self.seed}.json"

    @property
    def state_file(self) -> str:
        """Name of the state its training ends in."""
        return self.file.replace(".json", ".pth")

    @property
    def changes(self) -> dict[str, Any]:
        """What its configuration changes in the recipe, data set apart."""
        return {**CHANGES[self.backbone], **self.healthy.changes}

    def build(self) -> tuple[Experiment, Experiment]:
        """Return the experiment with its fault, and without."""
        right, broken = (build(self.changes, seed=self.seed, data=self.data) for _ in range(2))
        if self.fault is not None:
            self.fault.inject(broken)
        return broken, right


def quick_plan(faults: Sequence[Fault], *, bases: int = QUICK_BASES, seed: int = 1) -> Iterator[Planned]:
    """Yield the base recipe with `bases` seeds, nine other healthy kinds, and each fault kind once, at its first severity."""
    yield from (Planned("healthy", HEALTHY[0].name, number) for number in range(1, bases + 1))
    yield from (Planned("healthy", kind.name, seed, healthy=kind) for kind in HEALTHY[1:QUICK])
    kinds: set[str] = set()
    for fault in faults:
        if fault.kind not in kinds:
            yield Planned("fault", fault.name, seed, fault)
        kinds.add(fault.kind)


def full_plan(faults: Sequence[Fault], *, seeds: int, healthy_seeds: int = 0) -> Iterator[Planned]:
    """Yield ten seeds of the base recipe, every other healthy kind and every fault with each of `seeds` seeds.

    Every kind comes once before any comes twice.

    Args:
        faults: all of them.
        seeds: of faults, and of healthy kinds.
        healthy_seeds: of healthy kinds where these shall have more.
    """
    yield from (Planned("healthy", HEALTHY[0].name, seed) for seed in range(1, _FULL_BASES + 1))
    healthy = [[Planned("healthy", k.name, s, healthy=k) for k in HEALTHY[1:]] for s in range(1, max(seeds, healthy_seeds) + 1)]
    broken = [[Planned("fault", fault.name, seed, fault) for fault in faults] for seed in range(1, seeds + 1)]
    yield from itertools.chain(*healthy[:1], *broken[:1], *healthy[1:], *broken[1:])


def faults_of(path: Path) -> tuple[Fault, ...]:
    """Return `FAULTS` of somebody's file. Runs that file.

    Raises:
        UsageError: it is missing, or has none.
    """
    found = from_file(path, "FAULTS", "--faults-from")
    if not found or not all(isinstance(fault, Fault) for fault in found):
        raise UsageError(f"--faults-from {path}: it needs FAULTS, a tuple of benchmarks.plateaubench.fault.Fault.")
    return found


def from_file(path: Path, name: str, option: str) -> tuple[Any, ...]:
    """Return a tuple by name from somebody's file; empty where the file has none. Runs that file.

    Raises:
        UsageError: the file is missing.
    """
    spec = importlib.util.spec_from_file_location("from_outside", path)
    if spec is None or spec.loader is None or not path.exists():
        raise UsageError(f"{option} {path}: there is no such Python file.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return tuple(getattr(module, name, ()))


def identity(backbone: str = STANDARD, data: str = STANDARD_DATA) -> str:
    """Return a short name of recipe, network and pictures: stories of others are not mixed in."""
    _, pictures = load(data)
    digest = hashlib.sha256(json.dumps(RECIPE, sort_keys=True, default=str).encode())
    if backbone != STANDARD:
        digest.update(backbone.encode())
    if data != STANDARD_DATA:
        digest.update(f"{data} {DATA[data].num_trained} {DATA[data].num_held_out}".encode())
    digest.update(pictures.pixels_NCHW.numpy().tobytes())
    return digest.hexdigest()[:10]


def keep(story: Story | dict[str, Any], path: Path) -> None:
    """Write a story, whole or not at all; NaN stays NaN, for a log that holds one is evidence."""
    write_text(path, json.dumps(story if isinstance(story, dict) else asdict(story)))


def read(path: Path) -> dict[str, Any] | None:
    """Return a finished story, or None."""
    try:
        story: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return story
