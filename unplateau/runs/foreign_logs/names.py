"""What trainers call their series, and what we call them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

_ALIASES: dict[str, tuple[str, ...]] = {
    "total": ("total", "loss", "totalloss", "losstotal", "trainloss", "losstrain", "lossall", "overallloss"),
    "cross_entropy": (
        "crossentropy", "crossentropyloss", "losscrossentropy", "ce", "celoss", "lossce", "losscls", "clsloss", "lossid",
        "idloss", "lossx", "xent", "xentloss", "lossxent", "softmaxloss", "losssoftmax", "identityloss", "classificationloss",
    ),
    "triplet": (
        "triplet", "tripletloss", "losstriplet", "losst", "losstri", "triloss", "tri", "htri", "losshtri", "metricloss",
    ),
    "accuracy": ("accuracy", "acc", "clsaccuracy", "trainacc", "acctrain", "trainaccuracy", "idacc", "accuracytrain"),
    "learning_rate": ("learningrate", "lr", "baselr", "lrgroup0", "lrpg0", "lr0"),
    "mAP": ("map", "testmap", "valmap", "validationmap", "heldoutmap", "meanap", "meanaverageprecision"),
    "rank1": ("rank1", "r1", "top1", "cmc1", "testrank1", "valrank1", "cmcrank1"),
    "epoch": ("epoch", "epochs", "epochidx"),
    "iteration": ("iteration", "iter", "iterations", "step", "globalstep", "steps", "it", "trainerglobalstep"),
}  # fmt: skip
_CANONICAL = {alias: name for name, aliases in _ALIASES.items() for alias in aliases}
_SHARES = ("accuracy", "mAP", "rank1")

SERIES_WITH_PLACES = ("total", "cross_entropy", "triplet", "accuracy", "learning_rate", "mAP", "rank1")
"""What a table must hold at least one of."""


def canonical(name: str) -> str | None:
    """Return our name of a series, `epoch` or `iteration`; None for one that we do not know.

    >>> canonical("train/loss_cls"), canonical("Rank-1"), canonical("total_loss"), canonical("eta_seconds")
    ('cross_entropy', 'rank1', 'total', None)
    """
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    if plain in _CANONICAL:
        return _CANONICAL[plain]
    last = re.sub(r"[^a-z0-9]", "", re.split(r"[/.]", name.lower())[-1])
    last = re.sub(r"(epoch|step)$", "", last) or last  # Lightning writes train_loss_epoch
    return _CANONICAL.get(last)


def columns_map(names: Iterable[str], given: Mapping[str, str]) -> dict[str, str]:
    """Return their name -> ours for every column, what the user gave first; of two columns with one meaning the first counts.

    >>> columns_map(["step", "loss", "train_loss", "grad"], {"grad": "gradient_norm"})
    {'grad': 'gradient_norm', 'step': 'iteration', 'loss': 'total'}
    """
    chosen = {theirs: ours for theirs, ours in given.items() if theirs in set(names)}
    for name in names:
        ours = canonical(name)
        if ours is not None and name not in chosen and ours not in chosen.values():
            chosen[name] = ours
    return chosen


def percent_series(largest: Mapping[str, float]) -> tuple[str, ...]:
    """Return the names of the shares that must have been written in percent, because a value is above 1.

    >>> percent_series({"mAP": 23.4, "rank1": 0.4, "total": 9.5})
    ('mAP',)
    """
    return tuple(name for name in _SHARES if math.isfinite(largest.get(name, 0.0)) and largest.get(name, 0.0) > 1.0 + 1e-9)
