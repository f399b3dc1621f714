"""Collects the loss terms of an epoch's steps and reads them to the host in batches: a step does not wait for the GPU."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from unplateau.engine.precision import all_finite
from unplateau.engine.requests import Diverged
from unplateau.engine.train_step import StepTerms

_SKIPPED = "skipped_steps"  # what train_step calls it
FLUSH_STEPS = 20  # fast-reid's reporting interval; one synchronisation each


@dataclass
class StepLog:
    """Sums of one epoch. `rows` hold what has not been read from the device yet."""

    epoch: int
    first_step: int
    names: tuple[str, ...] = ()
    rows: list[Tensor] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    latest: dict[str, float] = field(default_factory=dict)
    num_steps: int = 0
    learning_rate: float = 0.0
    """Of the latest step, at factor 1."""
    terms: frozenset[str] = frozenset()
    damage: Diverged | None = None
    """The first term that was not finite, with the exact step."""

    def add(self, terms: StepTerms, learning_rate: float) -> bool:
        """Take a step's terms; return whether they were read to the host now."""
        self.learning_rate = learning_rate
        values = {"total_loss": terms.total, **terms.parts, **terms.measurements}
        self.names, self.terms = tuple(values), frozenset({"total_loss", *terms.parts})
        self.rows.append(torch.stack([value.float() for value in values.values()]))
        self.num_steps += 1
        if len(self.rows) < FLUSH_STEPS:
            return False
        self.flush()
        return True

    def flush(self) -> None:
        """Read what is still on the device. Synchronises the GPU."""
        if not self.rows:
            return
        first = self.first_step + self.num_steps - len(self.rows)
        table = torch.stack(self.rows).tolist()
        self.rows.clear()
        for offset, row in enumerate(table):
            self._take(dict(zip(self.names, row, strict=True)), first + offset)

    def check_weights(self, tensors: Iterable[Tensor]) -> None:
        """Note it as damage where the epoch's last step, whose loss was still finite, broke the weights."""
        if self.damage is None and not all_finite(tensors):
            self.damage = Diverged("a weight", math.nan, self.first_step + self.num_steps - 1, self.epoch)

    def means(self) -> dict[str, float]:
        """Return the mean of each name over the steps in which it was finite."""
        return {name: self.sums[name] / self.counts[name] for name in self.sums if name != _SKIPPED}

    @property
    def skipped_steps(self) -> int:
        """Steps that a gradient scaler left out."""
        return round(self.sums.get(_SKIPPED, 0.0))

    def _take(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            if math.isfinite(value):
                self.sums[name] = self.sums.get(name, 0.0) + value
                self.counts[name] = self.counts.get(name, 0) + 1
        for name in sorted(self.terms, key=lambda term: term == "total_loss"):  # name the part, not the sum
            if not math.isfinite(values[name]) and self.damage is None:
                self.damage = Diverged(name, values[name], step, self.epoch)
        self.latest = values
