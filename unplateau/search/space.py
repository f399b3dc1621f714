"""What a search may change: numbers within limits, and choices of which each sets one key or several.

A point names a value for every parameter of the space; it becomes a change of configuration and back. The default space is in
`default_space`, a space of one's own is read in `space_file`, points are suggested in `suggest`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from unplateau.config.delta import flatten
from unplateau.config.schema import Config

Value = float | int | str
Point = Mapping[str, Value]
"""Parameter name -> its value; of a choice, the label of the option."""

_DIGITS = 3  # of a suggested number: 0.000712 says all that matters, and is readable in a file


@dataclass(frozen=True)
class Number:
    """A key whose value lies between two limits, both included."""

    name: str
    """The configuration key."""
    low: float
    high: float
    is_log: bool = False
    """Whether it is searched by factors rather than by steps."""
    is_whole: bool = False
    also: Mapping[str, Any] = field(default_factory=dict)
    """Keys that have to be set for it to matter, such as INPUT.REA.ENABLED."""

    def changes(self, value: Value) -> dict[str, Any]:
        """Return the keys that a value sets."""
        return {**self.also, self.name: value}

    def value_in(self, flat: Mapping[str, Any]) -> Value | None:
        """Return the value that a configuration has, or None where it lies outside; switched off counts as 0."""
        value = flat[self.name] if all(flat[key] == wanted for key, wanted in self.also.items()) else 0
        return value if self.low <= value <= self.high else None

    def tidy(self, value: Value) -> Value:
        """Return a suggested value with few digits and within the limits."""
        assert not isinstance(value, str)  # a number's value is a number
        if self.is_whole:
            return min(max(round(value), math.ceil(self.low)), math.floor(self.high))
        return min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)

    @property
    def num_values(self) -> int | None:
        """How many values there are; None for a continuum."""
        return math.floor(self.high) - math.ceil(self.low) + 1 if self.is_whole else None


@dataclass(frozen=True)
class Choice:
    """One of several options; each sets its keys."""

    name: str
    options: Mapping[str, Mapping[str, Any]]
    """Label -> keys."""

    def changes(self, value: Value) -> dict[str, Any]:
        """Return the keys that an option sets."""
        return dict(self.options[str(value)])

    def value_in(self, flat: Mapping[str, Any]) -> Value | None:
        """Return the label of the option that a configuration has, or None."""
        fitting = (label for label, keys in self.options.items() if all(_equal(flat[key], keys[key]) for key in keys))
        return next(fitting, None)

    def tidy(self, value: Value) -> Value:
        """Return the label as it is."""
        return value

    @property
    def num_values(self) -> int | None:
        """How many options there are."""
        return len(self.options)

    @property
    def is_ordered(self) -> bool:
        """Whether the options are ascending numbers of one key, so that neighbours are alike."""
        keys = {key for option in self.options.values() for key in option}
        values = [value for option in self.options.values() for value in option.values()]
        are_numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
        return len(keys) == 1 and len(values) > 2 and are_numbers and values == sorted(values)


Parameter = Number | Choice


@dataclass(frozen=True)
class Space:
    """All parameters of a search."""

    parameters: tuple[Parameter, ...]

    def changes(self, point: Point) -> dict[str, Any]:
        """Return the configuration keys that a point sets."""
        return {key: value for part in self.parameters for key, value in part.changes(point[part.name]).items()}

    def point_of(self, config: Config) -> dict[str, Value] | None:
        """Return the point that a configuration is, or None where the space does not reach it."""
        flat = flatten(config)
        point = {part.name: part.value_in(flat) for part in self.parameters}
        return None if None in point.values() else {name: value for name, value in point.items() if value is not None}

    def tidy(self, point: Point) -> dict[str, Value]:
        """Return a point with numbers of few digits."""
        return {part.name: part.tidy(point[part.name]) for part in self.parameters}

    @property
    def num_points(self) -> int | None:
        """How many points there are; None where there is no end of them."""
        counts = [part.num_values for part in self.parameters]
        return None if None in counts else math.prod(count for count in counts if count is not None)

    @property
    def keys(self) -> tuple[str, ...]:
        """Every configuration key that may change."""
        numbers = [(part.name, *part.also) for part in self.parameters if isinstance(part, Number)]
        options = [tuple(option) for part in self.parameters if isinstance(part, Choice) for option in part.options.values()]
        return tuple(dict.fromkeys(key for keys in (*numbers, *options) for key in keys))


def _equal(first: Any, second: Any) -> bool:
    return list(first) == list(second) if isinstance(first, (list, tuple)) else bool(first == second)
