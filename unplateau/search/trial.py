"""A trial of a search as plain data: what it tests, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from unplateau.search.space import Value

WAITING, RUNNING, PAUSED, FINISHED, FAILED = "waiting", "running", "paused", "finished", "failed"
BASE, SOLUTION, SUGGESTED = "base", "solution", "suggested"
BASE_TRIAL = "trial_000_base"
"""Name of the first trial, which the others are changes of."""


@dataclass(frozen=True)
class Trial:
    """One configuration that is tried."""

    number: int
    """From 0 on, in the order they were thought of."""
    name: str
    """Of its run folder."""
    origin: str
    """`BASE`, `SOLUTION` or `SUGGESTED`."""
    changes: Mapping[str, Any]
    """Against the base: dotted key -> value."""
    point: Mapping[str, Value] | None = None
    """Where it lies in the space; None for a solution that lies outside."""
    identity: str = ""
    """Equal for equal configurations."""
    attempts: int = 0
    """Processes that were started for it and ended without a written result."""


@dataclass(frozen=True)
class Standing:
    """How far a trial has come, as its run folder says."""

    trial: Trial
    state: str = WAITING
    """`WAITING` (never begun, or broken off inside a rung), `RUNNING`, `PAUSED` (at a rung's end), `FINISHED`, `FAILED`."""
    curve: tuple[tuple[int, float], ...] = ()
    """(epoch, held-out mAP) of every validated epoch."""
    epochs: int = 0
    """Epochs trained."""
    ended: str = ""
    """Why it ended, or failed, in a line."""
    seconds: float = field(default=0.0, compare=False)
    """Time its epochs took."""

    @property
    def number(self) -> int:
        return self.trial.number

    @property
    def best(self) -> float | None:
        """The best held-out mAP so far."""
        return max((score for _, score in self.curve), default=None)

    def best_by(self, epoch: int) -> float | None:
        """Return the best held-out mAP of the first epochs, up to and with `epoch`."""
        return max((score for at, score in self.curve if at <= epoch), default=None)

    def has_reached(self, epoch: int) -> bool:
        """Return whether nothing of it is to come before that epoch's end."""
        return self.epochs >= epoch or self.state in (FINISHED, FAILED)
