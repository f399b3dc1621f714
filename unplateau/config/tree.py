"""The schema as a flat table: every dotted key with its type, default, limits and meaning. No values of a run."""

from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from unplateau.config.schema import Config
from unplateau.config.sections import Section

ALIASES = {"SOLVER.ETA_MIN": "SOLVER.ETA_MIN_LR"}
"""Other spellings of a key that are read as the key."""

_OURS = "(ours)"
_KIND_WORDS = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}
_COUNT_WORDS = {2: "two", 3: "three"}


@dataclass(frozen=True)
class Leaf:
    """One key of the configuration."""

    key: str
    annotation: Any
    default: Any
    meaning: str
    at_least: float | None
    above: float | None
    at_most: float | None
    below: float | None

    @property
    def is_ours(self) -> bool:
        """Whether fast-reid does not have the key."""
        return self.meaning.startswith(_OURS)

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values allowed, where they are a fixed list."""
        return get_args(self.annotation) if get_origin(self.annotation) is Literal else ()

    @property
    def expected(self) -> str:
        """What a value has to be, in words.

        >>> leaves()["SOLVER.IMS_PER_BATCH"].expected
        'a whole number of 2 or more'
        >>> leaves()["INPUT.SIZE_TRAIN"].expected
        'two whole numbers'
        """
        return _kind_words(self.annotation) + self._limits()

    def _limits(self) -> str:
        words = {"of {} or more": self.at_least, "above {}": self.above, "at most {}": self.at_most, "below {}": self.below}
        said = [word.format(_plain(number)) for word, number in words.items() if number is not None]
        return f" {' and '.join(said)}" if said else ""


@cache
def leaves() -> dict[str, Leaf]:
    """Return every key of the configuration by its dotted name, in the order of the schema."""
    return dict(_leaves_of(Config, ""))


@cache
def section_names() -> frozenset[str]:
    """Return the dotted names of all groups of keys."""
    return frozenset(key.rsplit(".", depth)[0] for key in leaves() for depth in range(1, key.count(".") + 1))


def is_group(annotation: Any) -> bool:
    """Tell whether a field of the schema is a group of keys."""
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _leaves_of(kind: type[Section], prefix: str) -> list[tuple[str, Leaf]]:
    found = []
    for name, info in kind.model_fields.items():
        dotted = prefix + name
        if is_group(info.annotation):
            found += _leaves_of(info.annotation, f"{dotted}.")  # type: ignore[arg-type]
            continue
        found.append((dotted, _leaf(dotted, info)))
    return found


def _leaf(dotted: str, info: FieldInfo) -> Leaf:
    limits = {name: getattr(rule, name) for rule in info.metadata for name in ("ge", "gt", "le", "lt") if hasattr(rule, name)}
    return Leaf(
        key=dotted, annotation=info.annotation, default=info.default, meaning=info.description or "",
        at_least=limits.get("ge"), above=limits.get("gt"), at_most=limits.get("le"), below=limits.get("lt"),
    )  # fmt: skip


def _kind_words(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(annotation))
    if get_origin(annotation) is tuple:
        return _tuple_words(get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(_kind_words(choice) for choice in get_args(annotation))
    return _KIND_WORDS.get(annotation, str(annotation))


def _tuple_words(items: tuple[Any, ...]) -> str:
    several = {int: "whole numbers", float: "numbers", str: "names"}[items[0]]
    return f"a list of {several}" if items[-1] is Ellipsis else f"{_COUNT_WORDS[len(items)]} {several}"


def _plain(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else f"{number:g}"
