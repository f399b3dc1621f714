"""What is known at the end of a search, as plain data. Its words: `search_text`."""

from __future__ import annotations

from dataclasses import dataclass

from unplateau.search.trial import Standing
from unplateau.selection.statistics import Estimate


@dataclass(frozen=True)
class Importance:
    """How much a parameter decides whether a trial is one of the best."""

    name: str
    share: float
    """Of all parameters together 1."""
    low: float
    high: float
    """95 % of resampled sets of trials give a share between these."""


@dataclass(frozen=True)
class SearchReport:
    """All that the comparison says."""

    trials: tuple[Standing, ...]
    estimates: dict[str, Estimate]
    """By trial name, the best held-out mAP with its interval; trials without a model have none."""
    best_epochs: dict[str, int]
    """By trial name, the epoch of it."""
    winner: str
    """Empty where none trained."""
    rung_ends: tuple[int, ...]
    importances: tuple[Importance, ...]
    """The largest first; empty where too few trials were comparable."""
    importance_epoch: int
    """Epochs after which the trials of `importances` were compared."""
    num_compared: int
    """Trials that `importances` rest on."""
    sampler: str
    seconds: float
