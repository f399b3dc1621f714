"""A search space of one's own, from a YAML file. Every problem is reported at once, with its line.

SOLVER.BASE_LR: {low: 1e-4, high: 1e-2, log: true}
SOLVER.IMS_PER_BATCH: [32, 64]
INPUT.REA.PROB: {low: 0, high: 0.8, also: {INPUT.REA.ENABLED: true}}
schedule:                       # a name of your own, where one choice sets several keys
  choices:
    cosine: {SOLVER.SCHED: CosineAnnealingLR}
    two drops: {SOLVER.SCHED: MultiStepLR, SOLVER.STEPS: [20, 50]}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unplateau.base.errors import ConfigError
from unplateau.config.build import build, key_problems, require_no
from unplateau.config.delta import flatten
from unplateau.config.entries import Entry, decode, shown
from unplateau.config.schema import Config
from unplateau.config.suggest import nearest_word
from unplateau.config.tree import leaves
from unplateau.config.yaml_file import read_yaml
from unplateau.search.space import Choice, Number, Parameter, Space

_WORDS = ("low", "high", "log", "also", "choices")
_FIXED = {
    "SEED": "trials that are compared need the same seed",
    "OUTPUT_DIR": "the search sets it; use --output-dir",
    "SOLVER.MAX_EPOCH": "trials that are compared are trained for the same epochs; give it as an override for all",
    "SOLVER.STOP_EPOCH": "the search sets it, to prune",
    "SOLVER.TIME_BUDGET_HOURS": "use --hours",
    "MODEL.DEVICE": "the executor decides where a trial runs",
}
_FIXED_GROUPS = {
    "VALIDATION.": "trials that are compared need the same held-out identities",
    "DATASETS.": "trials that are compared need the same data",
}


def read_space(path: Path) -> Space:
    """Read a space file.

    Raises:
        ConfigError: with every problem found, and its line.
    """
    problems: list[str] = []
    groups = _grouped(read_yaml(path, problems))
    parameters = [_parameter(name, parts, problems) for name, parts in groups.items()]
    require_no(problems)
    found = tuple(part for part in parameters if part is not None)
    if not found:
        raise ConfigError(
            [f"{path}: the space is empty. Write, for example: SOLVER.BASE_LR: {{low: 1e-4, high: 1e-2, log: true}}"]
        )
    return Space(found)


def _grouped(entries: Mapping[str, Entry]) -> dict[str, dict[str, Entry]]:
    """Parameter -> what is said of it, by the rest of the dotted name: "low", "also.KEY", "choices.LABEL.KEY", or ""."""
    groups: dict[str, dict[str, Entry]] = {}
    for dotted, entry in entries.items():
        name = _parameter_name(dotted)
        groups.setdefault(name, {})[dotted[len(name) + 1 :]] = entry
    return groups


def _parameter_name(dotted: str) -> str:
    parts = dotted.split(".")
    prefixes = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    known = next((prefix for prefix in prefixes if prefix in leaves()), None)
    by_word = next((".".join(parts[:place]) for place, part in enumerate(parts) if place and part in _WORDS), None)
    return known or by_word or dotted


def _parameter(name: str, parts: Mapping[str, Entry], problems: list[str]) -> Parameter | None:
    first = next(iter(parts.values()))
    words = {rest.split(".")[0] for rest in parts}
    before = len(problems)
    for word in sorted(words - {"", *_WORDS}):
        near = nearest_word(word, _WORDS)
        problems.append(f"{_at(parts, word)}: {name} has {word!r}, expected low, high, log, also or choices."
                        + (f" Did you mean {near}?" if near else ""))  # fmt: skip
    is_choice = bool(words & {"", "choices"})
    if is_choice and words & {"low", "high"}:
        problems.append(f"{first.where}: {name} has limits and choices, expected one of the two.")
    if len(problems) > before:
        return None
    return _choice(name, parts, problems) if is_choice else _number(name, parts, problems)


def _at(parts: Mapping[str, Entry], word: str) -> str:
    return next(entry.where for rest, entry in parts.items() if rest.split(".")[0] == word)


def _number(name: str, parts: Mapping[str, Entry], problems: list[str]) -> Number | None:
    where = next(iter(parts.values())).where
    if _unusable_key(name, where, problems):
        return None
    kind = leaves()[name].annotation
    low, high = (_limit(name, word, parts, problems) for word in ("low", "high"))
    also = {rest.partition(".")[2]: entry for rest, entry in parts.items() if rest.startswith("also.")}
    is_log = "log" in parts and decode(str(parts["log"].raw)) is True
    also_values = {
        key: _value(key, entry, problems) for key, entry in also.items() if not _unusable_key(key, entry.where, problems)
    }
    if kind not in (int, float):
        problems.append(f"{where}: {name} is no number, expected a list of choices, such as {name}: [...].")
        return None
    if low is None or high is None:
        return None
    if low >= high:
        problems.append(f"{where}: {name} goes from {low:g} to {high:g}, expected low below high.")
    if is_log and low <= 0:
        problems.append(f"{where}: {name} is searched by factors (log), so low has to be above 0. It is {low:g}.")
    return Number(name, low, high, is_log, kind is int, also_values)


def _limit(name: str, word: str, parts: Mapping[str, Entry], problems: list[str]) -> float | None:
    if word not in parts:
        where = next(iter(parts.values())).where
        problems.append(f"{where}: {name} has no {word}. Write {name}: {{low: ..., high: ...}}, or a list of choices.")
        return None
    value = _value(name, parts[word], problems)
    return float(value) if isinstance(value, (int, float)) else None


def _choice(name: str, parts: Mapping[str, Entry], problems: list[str]) -> Choice | None:
    where = next(iter(parts.values())).where
    listed = parts.get("") or parts.get("choices")
    before = len(problems)
    if listed is not None:
        if _unusable_key(name, where, problems):
            return None
        values = listed.raw if isinstance(listed.raw, list) else [listed.raw]
        options = {shown(value): {name: _value(name, Entry(value, listed.where), problems)} for value in values}
    else:
        options = _named_options(parts, problems)
    if len(problems) == before and len(options) < 2:
        problems.append(f"{where}: {name} has {len(options)} choice, expected two or more different ones.")
    return Choice(name, options) if len(problems) == before else None


def _named_options(parts: Mapping[str, Entry], problems: list[str]) -> dict[str, dict[str, Any]]:
    options: dict[str, dict[str, Any]] = {}
    for rest, entry in parts.items():
        _, label, key = (*rest.split(".", 2), "", "")[:3]
        if not _unusable_key(key, entry.where, problems):
            options.setdefault(label, {})[key] = _value(key, entry, problems)
    return options


def _unusable_key(key: str, where: str, problems: list[str]) -> bool:
    """Whether a key is unknown, or has to be the same for all trials; that is said."""
    if key not in leaves():
        unknown = key_problems({key: Entry("searched", where)})
        problems += unknown or [f"{where}: {key or 'nothing'} is a group, expected a key such as SOLVER.BASE_LR."]
        return True
    reason = _FIXED.get(key) or next((text for group, text in _FIXED_GROUPS.items() if key.startswith(group)), None)
    if reason:
        problems.append(f"{where}: {key} cannot be searched: {reason}.")
    return bool(reason)


def _value(key: str, entry: Entry, problems: list[str]) -> Any:
    """The value as the schema reads it; what it refuses is said, with the line."""
    config: Config = build({key: entry}, problems).config
    value = flatten(config)[key]
    return list(value) if isinstance(value, tuple) else value
