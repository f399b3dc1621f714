"""Every record that crosses layers, as plain frozen dataclasses without torch, and their way to and from JSON.

Reading and writing run folders: `reader`, `writer`. Other trainers' logs: `foreign_logs`.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from unplateau.base.errors import RecordError

SCHEMA_VERSION = 1
_LARGEST = 1 << 63  # a whole number beyond it counts nothing of ours

T = TypeVar("T")


@dataclass(frozen=True)
class RetrievalMetrics:
    """How well queries found their person. All values are shares (0 to 1); percent is a matter of display."""

    protocol: str
    """"held-out" (identities kept out of training) or "test" (query/gallery)."""
    mAP: float  # noqa: N815 - the field's spelling
    mINP: float  # noqa: N815
    cmc: dict[str, float]
    """Rank-k rates by k as text: "1", "5", "10"."""
    num_queries: int
    """Queries with at least one valid match; the others do not count."""
    num_gallery: int
    num_identities: int
    chance_mAP: float  # noqa: N815
    """Expected mAP of a random ranking of the same queries and gallery."""
    dataset: str = ""
    options: dict[str, str] = field(default_factory=dict)
    """What else the number depends on: metric, flip, re-ranking."""
    chosen_on_it: bool = False
    """The best epoch was chosen on this very test set, so the number is optimistic."""


@dataclass(frozen=True)
class EpochRecord:
    """One line of `metrics.jsonl` and one entry of `training_history.json`. Epochs count from 1."""

    epoch: int
    steps: int
    """Optimiser steps done since the run began."""
    learning_rate: float
    """Of the last step, at factor 1."""
    total_loss: float
    """Weighted sum, mean over the epoch's steps."""
    losses: dict[str, float]
    """Unweighted terms by name (cross_entropy, triplet, circle, center), mean over the epoch's steps."""
    accuracy: float | None = None
    """Share of training images whose identity the classifier names; None without a classifier."""
    measurements: dict[str, float] = field(default_factory=dict)
    """Further means over the epoch: gradient_norm, weight_motion (relative, a step), active_triplets, d_ap, d_an."""
    skipped_steps: int = 0
    """Steps a gradient scaler left out."""
    train_seconds: float = 0.0
    validation_seconds: float = 0.0
    images_per_second: float = 0.0
    validation: RetrievalMetrics | None = None
    is_best: bool = False

    def __post_init__(self) -> None:
        for name in ("train_seconds", "validation_seconds", "images_per_second"):
            if getattr(self, name) is None:  # null in a spoilt file: not known, as where the field is missing
                object.__setattr__(self, name, 0.0)

    @property
    def seconds(self) -> float:
        """Training and validation together."""
        return self.train_seconds + self.validation_seconds


@dataclass(frozen=True)
class StopReason:
    """Why a run ended. One for every exit."""

    code: str
    """no-improvement, completed, target-reached, time-budget, interrupted, preempted, out-of-memory, diverged,
    preflight, error, killed."""
    headline: str
    """As asked for: "No improvement for 10 epochs", "Training completed all epochs", ..."""
    evidence: tuple[str, ...] = ()
    recommendation: tuple[str, ...] = ()
    epochs_trained: int = 0
    max_epochs: int = 0
    best_epoch: int | None = None
    best_map: float | None = None
    best_protocol: str = ""
    exit_code: int = 0
    resumable: bool = True


@dataclass(frozen=True)
class RankedImage:
    """One image of a ranked list."""

    path: str
    person_id: int
    camera_id: int
    """From 0; -1 is unknown."""
    is_right: bool = False
    """Whether it shows the query's person."""


@dataclass(frozen=True)
class RankedQuery:
    """One query with its first answers, the most alike first; images that do not count are left out."""

    kind: str
    """"best", "median" or "worst"."""
    average_precision: float
    first_match_rank: int
    """From 1."""
    query: RankedImage
    answers: tuple[RankedImage, ...]


@dataclass(frozen=True)
class RankList:
    """Some queries of one task, chosen by their average precision; what `rank_lists.json` holds."""

    protocol: str
    dataset: str
    queries: tuple[RankedQuery, ...]


@dataclass(frozen=True)
class Measurement:
    """One number a probe read off a model, a checkpoint, a batch or a curve. No verdict."""

    name: str
    value: float | None
    """None where it could not be measured; `note` says why."""
    unit: str = ""
    step: int | None = None
    group: str = ""
    """Layer group or loss term it belongs to."""
    note: str = ""


@dataclass(frozen=True)
class Evidence:
    """One observed number or fact beside what it is compared with."""

    statement: str
    observed: float | None = None
    landmark: float | None = None
    source: str = ""
    """Where it was read: "log epochs 3-29", "checkpoints A and B", "probe weight_motion"."""


@dataclass(frozen=True)
class Finding:
    """A cause (or a set of causes with one cure), with what speaks for it and what would refute it."""

    code: str
    """Stable, such as "weights-not-updated"."""
    title: str
    severity: str
    """"pipeline" (no hyper-parameter helps until it is fixed), "optimisation", "data", "generalisation", "info"."""
    confidence: float
    """0 to 1."""
    evidence: tuple[Evidence, ...]
    causes: tuple[str, ...] = ()
    """Codes of causes that this evidence cannot tell apart."""
    refuted_by: str = ""
    next_test: str = ""
    remedies: tuple[str, ...] = ()
    """Names of solutions in the catalogue."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Dotted key -> value for those solutions, where measurements or recipes give it."""


@dataclass(frozen=True)
class Solution:
    """A change of configuration that is an experiment: a delta with its hypothesis."""

    name: str
    hypothesis: str
    delta: dict[str, Any]
    """Dotted key -> new value."""
    expected: str = ""
    treats: tuple[str, ...] = ()
    """Codes of the findings it is meant for."""
    rank: float = 0.0


def to_plain(record: Any) -> Any:
    """Return a record as dicts, lists and scalars, ready for JSON."""
    return dataclasses.asdict(record)


def from_plain(kind: type[T], plain: dict[str, Any]) -> T:
    """Build a record from what `to_plain` gave; keys of a newer version are left out.

    Raises:
        RecordError: a field without a default is missing, or a value is of another type. A float may be null: NaN is written so.
    """
    hints = _hints(typing.cast(type, kind))
    if not isinstance(plain, dict):
        raise RecordError(f"{type(plain).__name__} where the fields of a {kind.__name__} were expected")
    values = {}
    for name, value in plain.items():
        if name in hints:
            try:
                values[name] = _restore(hints[name], value)
            except _UnfitError:
                raise RecordError(f"{name} is {str(value)[:40]!r}, which is no {hints[name]}") from None
    try:
        return kind(**values)
    except TypeError as problem:
        raise RecordError(str(problem)) from problem


@cache
def _hints(kind: type) -> dict[str, Any]:
    """The types of a record's fields; worked out once, for a run has hundreds of records."""
    hints = typing.get_type_hints(kind)
    return {field_.name: hints[field_.name] for field_ in dataclasses.fields(kind)}


class _UnfitError(Exception):
    """A value is of another type than its field."""


def _restore(hint: Any, value: Any) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _restore(next(a for a in inner if a is not type(None)), value)
    if dataclasses.is_dataclass(hint):
        return from_plain(typing.cast(type, hint), value)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_restore(inner[0], item) for item in value)
    if origin is dict and isinstance(value, dict):
        return {str(key): _restore(inner[1], item) for key, item in value.items()}
    if _fits(hint, value):
        return value
    raise _UnfitError


def _fits(hint: Any, value: Any) -> bool:
    if hint is float:
        return value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < _LARGEST)
    if hint is int:
        return isinstance(value, int) and abs(value) < _LARGEST
    return hint is Any or (isinstance(hint, type) and isinstance(value, hint))
