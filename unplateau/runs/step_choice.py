"""In which number format and memory layout a run computes its steps, and how that was decided; kept in the run folder.

A run that goes on computes as it began: another format or layout rounds otherwise. Measuring: `unplateau.engine.step_choice`.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from unplateau.base.errors import CheckpointError
from unplateau.base.files import finite, read_json, write_json
from unplateau.runs.layout import RunFolder

SCHEMA_VERSION = 1

Basis = Literal["set", "rule", "measured"]
_BASES: tuple[Basis, ...] = ("set", "rule", "measured")
Choice = TypeVar("Choice")
BASES: dict[str, str] = {
    "set": "as the configuration says",
    "rule": "by rule",
    "measured": "measured on this machine",
}


@dataclass(frozen=True)
class StepWay:
    """A way to compute a step."""

    number_format: str
    """fp32, bf16 or fp16."""
    channels_last: bool
    frozen_format: str = ""
    """Of layers that are frozen for good, where it is another."""
    is_graphed: bool = False
    """The network's passes are recorded once and replayed, on a GPU."""

    @property
    def name(self) -> str:
        """Words for people.

        >>> StepWay("bf16", True).name
        'bf16, channels last'
        >>> StepWay("fp32", True, "bf16").name
        'fp32, channels last, frozen layers in bf16'
        >>> StepWay("bf16", False, is_graphed=True).name
        'bf16, contiguous, as a CUDA graph'
        """
        frozen = f", frozen layers in {self.frozen_format}" if self.frozen_format else ""
        graph = ", as a CUDA graph" if self.is_graphed else ""
        return f"{self.number_format}, {'channels last' if self.channels_last else 'contiguous'}{frozen}{graph}"

    @property
    def keys(self) -> str:
        """The configuration that forces this way.

        >>> StepWay("fp32", False).keys
        'SOLVER.AMP.ENABLED False SOLVER.CHANNELS_LAST off'
        """
        amp = "False" if self.number_format == "fp32" else f"True SOLVER.AMP.DTYPE {self.number_format}"
        frozen = f" SOLVER.AMP.FROZEN_DTYPE {self.frozen_format}" if self.frozen_format else ""
        graph = " SOLVER.CUDA_GRAPH on" if self.is_graphed else ""
        return f"SOLVER.AMP.ENABLED {amp} SOLVER.CHANNELS_LAST {'on' if self.channels_last else 'off'}{frozen}{graph}"

    @property
    def launched_singly(self) -> "StepWay":
        """The same without a graph."""
        return replace(self, is_graphed=False)


@dataclass(frozen=True)
class StepTiming:
    """What a few steps of one way showed, beside the plainest way on the same batch and weights."""

    way: StepWay
    seconds: float
    """The fastest step; infinite where it could not be used."""
    loss_difference: float = 0.0
    """Of the total, relative."""
    gradient_agreement: float = 1.0
    """Cosine of the two gradients of the backbone."""
    head_agreement: float = 1.0
    """The same of the head's part, which rounding changes least."""
    problem: str = ""
    """Why it may not be used; empty where it may."""


@dataclass(frozen=True)
class StepChoice:
    """What was chosen, and why."""

    way: StepWay
    basis: Basis
    timings: tuple[StepTiming, ...] = ()
    """The plainest way first; empty where nothing was measured."""
    machine: str = ""
    spent_seconds: float = 0.0

    def line(self) -> str:
        """Return the choice in one line."""
        if self.basis != "measured":
            return f"Steps are computed in {self.way.name} ({BASES[self.basis]})."
        plain = next(timing for timing in self.timings if not timing.problem)
        chosen = next(timing for timing in self.timings if timing.way == self.way)
        took = f"measured in {self.spent_seconds:.0f} s"
        if chosen is plain:
            return f"Steps are computed in {self.way.name}: nothing else was faster by enough ({took})."
        speed = f"{1e3 * chosen.seconds:.0f} ms a step, {plain.seconds / chosen.seconds:.2f} times as fast as {plain.way.name}"
        return f"Steps are computed in {self.way.name}: {speed}, loss equal to {100 * chosen.loss_difference:.2g} % ({took})."


def write_step_choice(folder: RunFolder, choice: StepChoice) -> None:
    """Keep the choice with the run."""
    write_json(folder.step_choice, {"schema": SCHEMA_VERSION, **finite(asdict(choice))})


def read_step_choice(folder: RunFolder) -> StepChoice | None:
    """Return the run's choice; None for a run of a time when steps were always chosen by rule.

    Raises:
        CheckpointError: the file is damaged.
    """
    return read_choice(
        folder.step_choice, _choice,
        "in which number format the run was computed. Delete the file to go on with the one chosen by rule, or start again under "
        "another --run-name.",
    )  # fmt: skip


def read_choice(path: Path, made: Callable[[dict[str, Any]], Choice], unknown: str) -> Choice | None:
    """Return what was kept of a choice; None where nothing was.

    Args:
        path: of the JSON file.
        made: makes the choice of what the file holds; whatever it raises, the file is damaged.
        unknown: what is not known without it, and what to do.

    Raises:
        CheckpointError: the file is damaged.
    """
    try:
        return made(read_json(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, StopIteration) as problem:
        raise CheckpointError(f"{path} cannot be read ({type(problem).__name__}), so it is not known {unknown}") from problem


def basis_of(plain: dict[str, Any]) -> Basis:
    """Return on what a kept choice rests. Raises StopIteration on another word."""
    return next(name for name in _BASES if name == plain["basis"])


def _choice(plain: dict[str, Any]) -> StepChoice:
    timings = tuple(_timing(one) for one in plain["timings"])
    return StepChoice(StepWay(**plain["way"]), basis_of(plain), timings, plain["machine"], plain["spent_seconds"])


def _timing(plain: dict[str, object]) -> StepTiming:
    values = {name: math.inf if value is None else value for name, value in plain.items()}  # JSON has no infinity
    return StepTiming(**{**values, "way": StepWay(**plain["way"])})  # type: ignore[arg-type]
