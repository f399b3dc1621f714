"""What a planted fault is. The faults themselves: `faults_of_*`, and files given by `--faults-from`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.plateaubench.experiment import Experiment


@dataclass(frozen=True)
class Fault:
    """A bug, and what a diagnosis may rightly call it.

    Attributes:
        name: "kind" or "kind/severity"; what stands before the slash is the kind, which decides the half it is scored in.
        causes: acceptable answers, of the vocabulary of `unplateau explain --list`; causes of one cure count as one.
        severity: "mild" or "severe".
        inject: changes the experiment in place.
    """

    name: str
    causes: frozenset[str]
    severity: str
    inject: Callable[[Experiment], None]

    @property
    def kind(self) -> str:
        """The fault without its severity."""
        return self.name.split("/")[0]


def fault(name: str, causes: str, inject: Callable[[Experiment], None], *, severity: str = "severe") -> Fault:
    """Return a fault; `causes` are separated by spaces."""
    return Fault(name, frozenset(causes.split()), severity, inject)
