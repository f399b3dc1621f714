"""How a run turns images into embeddings when it scores a model, and how that was decided; kept in the run folder.

A score is comparable with the run's others only where it was computed alike. Measuring: `unplateau.engine.embed_choice`.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from unplateau.base.files import finite, write_json
from unplateau.runs.layout import RunFolder
from unplateau.runs.step_choice import BASES, Basis, StepWay, basis_of, read_choice

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class EmbedWay:
    """A way to embed images."""

    number_format: str
    """fp32, bf16 or fp16."""
    channels_last: bool
    is_folded: bool = False
    """Batch norms are part of the convolutions before them, on a copy of the model."""

    @classmethod
    def of_step(cls, way: StepWay) -> "EmbedWay":
        """Return the way in which steps are computed."""
        return cls(way.number_format, way.channels_last)

    @property
    def name(self) -> str:
        """Words for people.

        >>> EmbedWay("bf16", True, is_folded=True).name
        'bf16, channels last, batch norms folded'
        """
        return StepWay(self.number_format, self.channels_last).name + (", batch norms folded" if self.is_folded else "")


@dataclass(frozen=True)
class EmbedTiming:
    """What embedding a few images in one way showed, beside the plainest way on the same images and weights."""

    way: EmbedWay
    seconds: float
    """The fastest pass; infinite where it could not be used."""
    agreement: float = 1.0
    """The least cosine of an image's embedding with the plainest way's, both without the mean of all."""
    problem: str = ""
    """Why it may not be used; empty where it may."""


@dataclass(frozen=True)
class EmbedChoice:
    """What was chosen, and why."""

    way: EmbedWay
    basis: Basis
    timings: tuple[EmbedTiming, ...] = ()
    """The plainest way first; empty where nothing was measured."""
    num_images: int = 0
    """In one pass of the measurement."""
    machine: str = ""
    spent_seconds: float = 0.0

    def line(self) -> str:
        """Return the choice in one line."""
        if self.basis != "measured":
            return f"Images are embedded in {self.way.name} ({BASES[self.basis]})."
        plain = next(timing for timing in self.timings if not timing.problem)
        chosen = next(timing for timing in self.timings if timing.way == self.way)
        took = f"measured in {self.spent_seconds:.0f} s"
        if chosen is plain:
            return f"Images are embedded in {self.way.name}: nothing else was faster by enough ({took})."
        speed = f"{self.num_images / chosen.seconds:.0f} images a second, {plain.seconds / chosen.seconds:.2f} times as fast as"
        return f"Images are embedded in {self.way.name}: {speed} {plain.way.name} ({took})."


def write_embed_choice(folder: RunFolder, choice: EmbedChoice) -> None:
    """Keep the choice with the run."""
    write_json(folder.embed_choice, {"schema": SCHEMA_VERSION, **finite(asdict(choice))})


def read_embed_choice(folder: RunFolder) -> EmbedChoice | None:
    """Return the run's choice; None for a run of a time when images were always embedded as steps were computed.

    Raises:
        CheckpointError: the file is damaged.
    """
    return read_choice(
        folder.embed_choice, _choice,
        "in which number format the run's scores were computed. Delete the file to score as its steps were computed, or start "
        "again under another --run-name.",
    )  # fmt: skip


def _choice(plain: dict[str, Any]) -> EmbedChoice:
    timings = tuple(_timing(one) for one in plain["timings"])
    others = (timings, int(plain["num_images"]), str(plain["machine"]), float(plain["spent_seconds"]))
    choice = EmbedChoice(EmbedWay(**plain["way"]), basis_of(plain), *others)
    choice.line()  # fails where the parts do not belong together
    return choice


def _timing(plain: dict[str, object]) -> EmbedTiming:
    seconds = math.inf if plain["seconds"] is None else float(plain["seconds"])  # type: ignore[arg-type] # JSON has no infinity
    agreement = float(plain["agreement"])  # type: ignore[arg-type]
    return EmbedTiming(EmbedWay(**plain["way"]), seconds, agreement, str(plain["problem"]))  # type: ignore[arg-type]
