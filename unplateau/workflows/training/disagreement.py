"""In what a run that goes on differs from its start, and what of it may not be. Plain values; who asks: `going_on`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_WORDS = {
    "data": "it was begun on other data (the images it trains on)",
    "validation": "it was begun on other data (the images it is validated on)",
    "world_size": "it was begun with {old} process(es), and there are {new} now",
    "device": "it was begun on {old}, and is on {new} now",
    "torch": "it was begun with torch {old}, and there is torch {new} now",
}
_NEVER = ("data", "validation")  # the scores of its epochs would not compare, so the best one could not be chosen


@dataclass(frozen=True)
class Change:
    """One thing that differs."""

    words: str
    is_refused: bool
    """Results would silently change."""
    can_be_forced: bool


def differing(stored: Mapping[str, object], now: Mapping[str, object]) -> list[Change]:
    """Return what differs between a run's start and now; of what an older checkpoint does not tell, nothing is known.

    >>> [change.words for change in differing({"world_size": 2}, {"world_size": 1, "torch": "2.9.0"})]
    ['it was begun with 2 process(es), and there are 1 now']
    """
    return [
        Change(
            _WORDS[name].format(old=stored[name], new=value),
            is_refused=name != "torch" or _minor(stored[name]) != _minor(value),
            can_be_forced=name not in _NEVER,
        )
        for name, value in now.items()
        if name in stored and stored[name] != value
    ]


def _minor(version: object) -> str:
    """Return 2.9 of 2.9.1+cu130: between repairs and builds of one release, kernels seldom change."""
    found = re.match(r"\d+\.\d+", str(version))
    return found.group() if found else str(version)
