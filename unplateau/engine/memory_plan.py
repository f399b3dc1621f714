"""Memory plans: how a training step is done where its activations do not fit at once. Which one holds, and when it changes.

Each plan of the ladder takes less memory than the one before it: plain; recomputing (gradient checkpointing, Chen et al. 2016,
arXiv 1604.06174); recomputing in 2, 4, 8 ... micro-batches of the backbone (as GradCache, Gao et al. 2021, arXiv 2101.06983).
How they are carried out: `recomputing`, `micro_batches`, `train_step`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from unplateau.config.schema import Config
from unplateau.engine.step_state import BufferCopy

_log = logging.getLogger(__name__)
_FEWEST_IMAGES = 2  # of a micro-batch: batch normalisation of one vector is not defined


@dataclass(frozen=True)
class MemoryPlan:
    """How a step is done. With micro-batches the backbone's activations are recomputed too."""

    recomputes: bool = False
    micro_batches: int = 1

    @property
    def name(self) -> str:
        """As SOLVER.MEMORY_PLAN names it; "plain" for a step that is done at once."""
        if self.micro_batches > 1:
            return str(self.micro_batches)
        return "checkpoint" if self.recomputes else "plain"

    def words(self, batch_size: int) -> str:
        """Return what the plan does and what it costs, in half a sentence."""
        if self.micro_batches > 1:
            share = -(-batch_size // self.micro_batches)
            return (
                f"{self.micro_batches} micro-batches and gradient checkpointing: twice as slow or more; batch normalisation of "
                f"the backbone sees {share} images at a time, head and losses all {batch_size}"
            )
        if self.recomputes:
            return "gradient checkpointing: a third slower or more, same results"
        return "the whole batch at once"


PLAIN = MemoryPlan()
CHECKPOINT = MemoryPlan(recomputes=True)


def plan_named(name: str) -> MemoryPlan:
    """Return the plan of a name that `MemoryPlan.name` gives; SOLVER.MEMORY_PLAN's auto and off begin plain.

    >>> plan_named("4").micro_batches, plan_named("auto").name
    (4, 'plain')
    """
    if name == "checkpoint":
        return CHECKPOINT
    return MemoryPlan(recomputes=True, micro_batches=int(name)) if name.isdigit() else PLAIN


def ladder(batch_size: int) -> Sequence[MemoryPlan]:
    """Return all plans for so many images a step and process, the most memory first.

    >>> [plan.name for plan in ladder(16)]
    ['plain', 'checkpoint', '2', '4', '8']
    """
    plans, micro_batches = [PLAIN, CHECKPOINT], 2
    while batch_size >= _FEWEST_IMAGES * micro_batches:
        plans.append(MemoryPlan(recomputes=True, micro_batches=micro_batches))
        micro_batches *= 2
    return plans


class StepMemory:
    """The plan that the steps of one training follow. Steps down the ladder when a step did not fit, and never up again.

    Attributes:
        plan: of the next step.
        may_step_down: SOLVER.MEMORY_PLAN is auto and there is one process. Several cannot: while one meets its limit, the others
            wait for its gradients.
        told: a sentence for each change.
    """

    def __init__(self, plan: MemoryPlan = PLAIN, *, may_step_down: bool = False, is_rehearsal: bool = False) -> None:
        self.plan = plan
        self.may_step_down = may_step_down
        self.told: tuple[str, ...] = ()
        self._is_rehearsal = is_rehearsal
        self._segments: tuple[str, ...] | None = None
        self._buffers: BufferCopy | None = None

    @classmethod
    def from_config(cls, config: Config, world_size: int) -> StepMemory:
        """Return the memory plan a configuration begins with."""
        name = config.SOLVER.MEMORY_PLAN
        return cls(plan_named(name), may_step_down=name == "auto" and world_size == 1)

    def rehearsal(self) -> StepMemory:
        """Return one for a copy of the training, which takes more memory than the training: what it finds does not count."""
        return StepMemory(self.plan, may_step_down=self.may_step_down, is_rehearsal=True)

    def go_on_with(self, name: str, told: Sequence[str] = ()) -> None:
        """Take over the plan of a run that goes on, unless the configuration names one itself."""
        if self.may_step_down:
            self.plan, self.told = plan_named(name), tuple(told)

    def sentences(self, batch_size: int) -> tuple[str, ...]:
        """Return what is to be said of a run's steps: each change of the plan, or the plan it was given, unless it is plain."""
        if self.told or self.plan == PLAIN:
            return self.told
        return (f"Steps were done with {self.plan.words(batch_size)} (SOLVER.MEMORY_PLAN {self.plan.name}).",)

    def below(self, batch_size: int) -> MemoryPlan | None:
        """Return the next plan down; None where there is none, or it may not be taken."""
        if not self.may_step_down:
            return None
        rungs = list(ladder(batch_size))
        place = next((place for place, plan in enumerate(rungs) if plan == self.plan), len(rungs))
        return rungs[place + 1] if place + 1 < len(rungs) else None

    def step_down(self, batch_size: int, problem: str) -> None:
        """Take the next plan and say so. `below` has shown that there is one."""
        plan = self.below(batch_size)
        assert plan is not None
        self.plan = plan
        text = f"Out of memory in a step of {batch_size} images ({problem.rstrip('.')})."
        if self._is_rehearsal:
            _log.info("Preflight: %s Rehearsed with %s.", text, plan.words(batch_size))
            return
        self.told = (*self.told, f"{text} It was done again, and steps are done from then on, with {plan.words(batch_size)}.")
        _log.warning("%s It is done again, and steps are done from now on, with %s.", text, plan.words(batch_size))

    def buffers_of(self, model: nn.Module, losses: nn.Module) -> BufferCopy:
        """Return where buffers are kept during a step; made once for a model."""
        if self._buffers is None or not self._buffers.is_of(model, losses):
            self._buffers = BufferCopy(model, losses)
        return self._buffers

    @property
    def segments(self) -> tuple[str, ...] | None:
        """Names of the modules that are recomputed; None until they are chosen."""
        return self._segments

    def choose_segments(self, names: tuple[str, ...]) -> None:
        """Keep the names of the modules that are recomputed."""
        self._segments = names
