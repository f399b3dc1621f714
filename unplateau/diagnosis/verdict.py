"""What a rule may answer: a finding, silence, or that it cannot judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from unplateau.diagnosis.case import Case
from unplateau.runs.record import Finding

SEVERITIES = ("pipeline", "optimisation", "data", "generalisation", "info")


@dataclass(frozen=True)
class Abstained:
    """A rule lacks the evidence to judge."""

    reason: str
    missing: tuple[str, ...] = ()
    """Options of `solve_plateau.py` that would give it, such as "--num-identities"."""


Verdict = Finding | Abstained | None
"""None: judged, and nothing found."""


@dataclass(frozen=True)
class Rule:
    """One rule: the module that holds it is also its page (`unplateau explain CODE` shows its docstring)."""

    code: str
    judge: Callable[[Case], Verdict]
    module: ModuleType
    places: tuple[str, ...] = ()
    """Causes that say in which part of the training the fault lies, where what is seen proves that much; empty: nowhere yet."""
