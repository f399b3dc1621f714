"""The learning rate as a function of the step: warm-up, then milestones or a cosine. The only writer of a learning rate.

A step is one optimiser update; `rate_at(step)` is the rate that update number `step` (from 0) is done with. Rates are those of
factor 1. Where we differ from fast-reid 1.3: milestones are absolute epochs and hold during warm-up too (it counts them from
warm-up's end, rounded up to epochs), and the cosine descends every step (it does so every epoch).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from torch.optim import Optimizer

from unplateau.config.schema import Config


@dataclass(frozen=True)
class Schedule:
    """A learning-rate schedule; changing it gives a new one."""

    base_rate: float
    steps_per_epoch: int
    max_epochs: int
    kind: str
    """MultiStepLR or CosineAnnealingLR."""
    warmup_steps: int = 0
    warmup_factor: float = 1.0
    warmup_method: str = "linear"
    milestone_steps: tuple[int, ...] = ()
    """Ascending; the rate is `gamma` times lower from that step on."""
    gamma: float = 0.1
    delay_epochs: int = 0
    final_rate: float = 0.0

    @classmethod
    def from_config(cls, config: Config, steps_per_epoch: int) -> "Schedule":
        """Return the schedule of SOLVER for an epoch of so many steps."""
        solver = config.SOLVER
        return cls(
            base_rate=solver.BASE_LR,
            steps_per_epoch=steps_per_epoch,
            max_epochs=solver.MAX_EPOCH,
            kind=solver.SCHED,
            warmup_steps=solver.WARMUP_ITERS,
            warmup_factor=solver.WARMUP_FACTOR,
            warmup_method=solver.WARMUP_METHOD,
            milestone_steps=tuple(sorted(epoch * steps_per_epoch for epoch in solver.STEPS)),
            gamma=solver.GAMMA,
            delay_epochs=solver.DELAY_EPOCHS,
            final_rate=solver.ETA_MIN_LR,
        )

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.max_epochs * self.steps_per_epoch

    @property
    def peak_rate(self) -> float:
        """The highest rate the configuration asks for, at factor 1."""
        return self.base_rate

    def rate_at(self, step: int) -> float:
        """Return the learning rate of update number `step`, from 0; after the last step, that of the end."""
        rate = self._cosine(step) if self.kind == "CosineAnnealingLR" else self._multi_step(step)
        return rate * self._warmup(step)

    def apply(self, optimizers: Iterable[Optimizer], step: int) -> float:
        """Write the rate of update number `step` into every group and return it (at factor 1)."""
        rate = self.rate_at(step)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["fixed_lr"] if "fixed_lr" in group else rate * group["factor"]
        return rate

    def drops_ahead(self, step: int) -> tuple[int, ...]:
        """Return the milestones that updates from `step` on would still meet before the run ends, in completed epochs.

        Args:
            step: updates done so far. A milestone at exactly this step is met by the next update, so it is still ahead.
        """
        return tuple(math.ceil(milestone / self.steps_per_epoch) for milestone in self._ahead(step))

    def take_next_drop(self, step: int) -> "Schedule":
        """Return the schedule whose next milestone is at `step`; later ones keep their distance to it.

        Without a drop ahead it is returned as it is.
        """
        ahead = self._ahead(step)
        if not ahead:
            return self
        shift = ahead[0] - step
        moved = tuple(m - shift if m >= ahead[0] else m for m in self.milestone_steps)
        return replace(self, milestone_steps=moved)

    def phase(self, step: int) -> str:
        """Return where a run stands after `step` updates: "warm-up", "before drop", "after last drop" or "cosine"."""
        if step < self.warmup_steps:
            return "warm-up"
        if self.kind == "CosineAnnealingLR":
            return "cosine"
        return "before drop" if self.drops_ahead(step) else "after last drop"

    def to_plain(self) -> dict[str, Any]:
        """Return what a run may have changed, as plain data for a checkpoint."""
        return {"milestone_steps": list(self.milestone_steps)}

    def restore(self, plain: dict[str, Any]) -> "Schedule":
        """Return this schedule with what `to_plain` gave; the rest stays as the configuration says."""
        return replace(self, milestone_steps=tuple(int(step) for step in plain["milestone_steps"]))

    def _ahead(self, step: int) -> tuple[int, ...]:
        if self.kind == "CosineAnnealingLR":
            return ()
        return tuple(m for m in self.milestone_steps if step <= m < self.total_steps)

    def _multi_step(self, step: int) -> float:
        return self.base_rate * self.gamma ** sum(milestone <= step for milestone in self.milestone_steps)

    def _cosine(self, step: int) -> float:
        """From the peak at the end of warm-up or of DELAY_EPOCHS, whichever is later, to the final rate at the run's end."""
        start = max(self.warmup_steps, self.delay_epochs * self.steps_per_epoch)
        share = (step - start) / max(self.total_steps - start, 1)
        height = 0.5 * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0)))
        return self.final_rate + (self.base_rate - self.final_rate) * height

    def _warmup(self, step: int) -> float:
        if step >= self.warmup_steps:
            return 1.0
        if self.warmup_method == "constant":
            return self.warmup_factor
        return self.warmup_factor + (1 - self.warmup_factor) * step / self.warmup_steps


def write_rate(optimizers: Iterable[Optimizer], rate: float) -> None:
    """Write a rate at factor 1 into every group, as a schedule does; groups that somebody else built have no factor."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group.get("fixed_lr", rate * group.get("factor", 1.0))
