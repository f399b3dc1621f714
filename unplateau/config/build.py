"""Raw entries become a `Config`: unknown keys, unsupported keys and values out of range are collected, never the first alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from unplateau.base.errors import ConfigError
from unplateau.config.differences import difference_of
from unplateau.config.entries import Entry, coerce, decode, shown
from unplateau.config.schema import Config
from unplateau.config.suggest import nearest_key, nearest_word
from unplateau.config.tree import ALIASES, Leaf, leaves, section_names
from unplateau.config.unsupported import UNSUPPORTED_VALUES, is_active, is_unsupported, reason_of

_SMALLEST_PERCENT = 5  # below it, a number above 1 is more likely a plain mistake
_LINE = re.compile(r"(?P<file>.*?) line (?P<line>\d{1,9}): ")


@dataclass(frozen=True)
class Built:
    """A configuration, and the keys whose values could not be used and stand at their defaults."""

    config: Config
    wrong_keys: frozenset[str]


def build(entries: Mapping[str, Entry], problems: list[str]) -> Built:
    """Build the configuration; values that cannot be used are added to `problems` and left at their defaults.

    Args:
        entries: dotted key -> raw value. Keys that are not ours are left to `key_problems`.
        problems: is appended to.
    """
    known = {key: entry for key, entry in entries.items() if key in leaves()}
    refused = {key: text for key, entry in known.items() if (text := _refused(key, entry))}
    values = {key: coerce(entry.raw, leaves()[key].annotation) for key, entry in known.items() if key not in refused}
    config, wrong = _validated(values)
    if config is None:
        config, _ = _validated({key: value for key, value in values.items() if key not in wrong})
    assert config is not None, "defaults are valid"
    problems += refused.values()
    problems += [_value_problem(leaves()[key], entries[key]) for key in wrong]
    return Built(config, frozenset((*wrong, *refused)))


def canonical(entries: Mapping[str, Entry], problems: list[str]) -> dict[str, Entry]:
    """Return the entries under the schema's own spellings; `SOLVER.ETA_MIN` is `SOLVER.ETA_MIN_LR`."""
    named: dict[str, Entry] = {}
    for key, entry in entries.items():
        name = ALIASES.get(key, key)
        earlier = named.get(name)
        if earlier and earlier.raw != entry.raw:
            problems.append(
                f"{entry.where}: {key} is {entry.shown}, but {name} is {earlier.shown} at {earlier.where}, and they are one key. "
                "Keep one."
            )
        named[name] = entry
    return named


def key_problems(entries: Mapping[str, Entry]) -> list[str]:
    """Return a problem for every key that is not ours, unless it is an unsupported one that does nothing."""
    problems = []
    for key, entry in entries.items():
        if key in leaves() or (key in section_names() and entry.raw in (None, [])):
            continue
        if is_unsupported(key):
            if is_active(key, entry):
                problems.append(f"{entry.where}: {key} is {entry.shown}, which is refused: {reason_of(key)}.")
            continue
        problems.append(_unknown_key(key, entry))
    return problems


def inactive_note(entries: Mapping[str, Entry]) -> str | None:
    """Return one sentence naming the unsupported keys that are present and do nothing."""
    silent = [key for key, entry in entries.items() if is_unsupported(key) and not is_active(key, entry)]
    if not silent:
        return None
    groups = dict.fromkeys(_outermost(key) for key in silent)
    return f"Not supported, and at values that do nothing, so left out: {', '.join(groups)}."


def _outermost(key: str) -> str:
    """The largest group around an unsupported key that holds nothing of ours."""
    parts = key.split(".")
    prefixes = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
    return next(prefix for prefix in prefixes if prefix not in section_names())


def _validated(values: Mapping[str, Any]) -> tuple[Config | None, list[str]]:
    try:
        return Config.model_validate(nested(values)), []
    except ValidationError as error:
        return None, list(dict.fromkeys(_dotted(detail["loc"]) for detail in error.errors(include_url=False)))


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted keys as a tree of dicts.

    >>> nested({"SOLVER.BASE_LR": 0.1, "SEED": 1})
    {'SOLVER': {'BASE_LR': 0.1}, 'SEED': 1}
    """
    tree: dict[str, Any] = {}
    for dotted, value in values.items():
        *groups, last = dotted.split(".")
        node = tree
        for group in groups:
            node = node.setdefault(group, {})
        node[last] = value
    return tree


def _dotted(location: tuple[int | str, ...]) -> str:
    """Pydantic's location ends with positions inside a list, which are cut off."""
    names = [str(part) for part in location]
    candidates = (".".join(names[:length]) for length in range(len(names), 0, -1))
    return next(name for name in candidates if name in leaves())


def _refused(key: str, entry: Entry) -> str | None:
    """A value of fast-reid that we know and lack."""
    if reason := UNSUPPORTED_VALUES.get((key, str(entry.raw))):
        return f"{entry.where}: {key} is {entry.shown}, which is refused: {reason}."
    value = decode(entry.raw) if isinstance(entry.raw, str) else entry.raw
    if key == "MODEL.LOSSES.CE.EPSILON" and isinstance(value, (int, float)) and value < 0:
        reason = "below 0 it means fast-reid's adaptive label smoothing, which is not supported"
        return f"{entry.where}: {key} is {entry.shown}, which is refused: {reason}. Use 0.1, as published."
    return None


def _value_problem(leaf: Leaf, entry: Entry) -> str:
    return f"{entry.where}: {leaf.key} is {entry.shown}, expected {leaf.expected}. {_advice(leaf, entry)}"


def _advice(leaf: Leaf, entry: Entry) -> str:
    if leaf.choices:
        near = nearest_word(str(entry.raw), [str(choice) for choice in leaf.choices])
        return f"Did you mean {near}?" if near else f"Use {shown(leaf.default)} (the default)."
    value = decode(entry.raw) if isinstance(entry.raw, str) else entry.raw
    limit = leaf.at_most if leaf.at_most is not None else leaf.below
    is_percent = (
        limit == 1 and isinstance(value, (int, float)) and not isinstance(value, bool) and _SMALLEST_PERCENT <= value < 100
    )
    return f"Use {value / 100:g} for {value:g} %." if is_percent else f"Use, for example, {shown(leaf.default)} (the default)."


def _unknown_key(key: str, entry: Entry) -> str:
    near = nearest_key(key, (*leaves(), *ALIASES, *section_names()))
    hint = f"Did you mean {near}?" if near else "`unplateau config show` lists all keys."
    if key in section_names():
        return f"{entry.where}: {key} is {entry.shown}, expected a group of keys, one to a line and indented."
    return f"{entry.where}: {key} is {entry.shown}, expected a known key. {hint}"


def require_no(problems: list[str]) -> None:
    """Raises ConfigError with all problems, each once, in the order of files and lines, where there are any."""
    if problems:
        raise ConfigError(sorted(dict.fromkeys(problems), key=_place))


def _place(text: str) -> tuple[str, int]:
    found = _LINE.match(text)
    return (found["file"], int(found["line"])) if found else ("\uffff", 0)


def meaning_note(key: str) -> str:
    """Return how fast-reid's reading of `key` differs, as a sentence, or an empty string."""
    row = difference_of(key)
    return f"fast-reid: {shown(row.theirs)}; here: {shown(row.ours)}, since {row.why}." if row else ""
