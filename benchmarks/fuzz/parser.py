"""What a reader is to the fuzzer: a name, and how one input is made and read."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fuzz.mutating import mutated

ROOT = Path(__file__).parents[2]
Play = Callable[[random.Random, Path], None]
"""Makes one input in a scratch folder and reads it. Any exception but ours is a finding."""


@dataclass(frozen=True)
class Parser:
    """One reader."""

    name: str
    what: str
    prepare: Callable[[Path, Path], Play]
    """Given a scratch folder and the canary's path, returns how one input is played."""


def written(path: Path, content: bytes) -> Path:
    """Write an input and return where it is."""
    path.write_bytes(content)
    return path


def spoilt(rng: random.Random, seeds: list[bytes]) -> bytes:
    """A seed, spoilt in half of the cases: what is packed anew afterwards must first be whole."""
    return mutated(rng, seeds) if rng.random() < 0.5 else rng.choice(seeds)
