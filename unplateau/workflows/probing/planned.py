"""What a planned probe is. The plan itself: `planned_probes`; who carries it out: `probe`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from unplateau.runs.record import Measurement
from unplateau.workflows.probing.bench import Bench

Measurements = tuple[Measurement, ...]


@dataclass(frozen=True)
class Planned:
    """One probe: its name, what it costs, and how it is run."""

    name: str
    cost: str
    run: Callable[[Bench, Measurements], Measurements]
    """(bench, everything measured before) -> measurements."""
    steps: float = 0.0
    """The same cost in training steps of the run, at most."""
    evaluations: float = 0.0
    """Evaluations of the validation set on top."""
