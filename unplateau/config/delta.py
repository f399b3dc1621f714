"""Configurations as flat tables: what differs, what it is called, and how it is written to a file that loads back."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from unplateau.config.build import build, canonical, key_problems, nested, require_no
from unplateau.config.check import check
from unplateau.config.entries import Entry
from unplateau.config.inherit import BASE_KEY
from unplateau.config.issues import sentence, value_of
from unplateau.config.schema import Config
from unplateau.config.tree import leaves

_IDENTITY_CHARACTERS = 10
_LINE_WIDTH = 120


def flatten(config: Config) -> dict[str, Any]:
    """Return every value of a configuration by its dotted key, in the order of the schema."""
    return {key: value_of(config, key) for key in leaves()}


def difference(a: Config, b: Config) -> dict[str, tuple[Any, Any]]:
    """Return the keys whose values differ, as (value in `a`, value in `b`)."""
    left, right = flatten(a), flatten(b)
    return {key: (left[key], right[key]) for key in left if left[key] != right[key]}


def from_plain(plain: Mapping[str, Any]) -> Config:
    """Build a configuration from plain data, as nested dicts, dotted keys, or both.

    Raises:
        ConfigError: unknown keys, values out of range, or values that do not go together.
    """
    return _checked({key: Entry(value, "values given") for key, value in _dotted(plain, "").items()})


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """Return a configuration with some dotted keys changed.

    Raises:
        ConfigError: as `from_plain`.
    """
    changed = {key: Entry(value, "values given") for key, value in values.items()}
    kept = {key: Entry(value, "configuration") for key, value in flatten(config).items()}
    problems: list[str] = []
    changed = canonical(changed, problems)
    require_no(problems)
    return _checked(kept | changed)


def identity(delta: Mapping[str, Any]) -> str:
    """Return a short name for a change of configuration: equal changes have equal names, whatever their order.

    >>> identity({"SOLVER.BASE_LR": 0.0007, "SEED": 1}) == identity({"SEED": 1, "SOLVER.BASE_LR": 7e-4})
    True
    """
    text = json.dumps({key: delta[key] for key in sorted(delta)}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_IDENTITY_CHARACTERS]


def to_yaml(config: Config) -> str:
    """Return a whole configuration as YAML that loads back to an equal one."""
    return _dump(flatten(config))


def to_delta_yaml(values: Mapping[str, Any], *, base: str = "", header: Sequence[str] = ()) -> str:
    """Return a configuration file that holds only changes.

    Args:
        values: dotted key -> value.
        base: the file that is changed, relative to where the new file will lie; empty = the defaults.
        header: lines of comment above the keys.
    """
    comment = "".join(f"# {line}".rstrip() + "\n" for text in header for line in (text.splitlines() or [""]))
    inherited = yaml.dump({BASE_KEY: base}, Dumper=_Dumper, allow_unicode=True) if base else ""
    return "\n".join(part for part in (comment, inherited, _dump(values) if values else "") if part)


def _dump(values: Mapping[str, Any]) -> str:
    tree = nested(values)
    return str(yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_LINE_WIDTH))


class _Dumper(yaml.SafeDumper):
    """Block style for groups, `[20, 50]` for lists."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_list(self, data: Any) -> yaml.SequenceNode:
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)


_Dumper.add_representer(list, _Dumper.represent_list)
_Dumper.add_representer(tuple, _Dumper.represent_list)


def _checked(entries: Mapping[str, Entry]) -> Config:
    problems: list[str] = []
    named = canonical(entries, problems)
    problems += key_problems(named)
    config = build(named, problems).config
    require_no(problems)
    require_no([sentence(issue, config, named) for issue in check(config) if issue.is_problem])
    return config


def _dotted(plain: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in plain.items():
        found |= _dotted(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found
