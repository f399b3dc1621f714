"""What a cross-field check says: a problem stops, a note only informs. Both are tied to keys, so that they can name a line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from unplateau.config.entries import Entry, shown
from unplateau.config.schema import Config


@dataclass(frozen=True)
class Issue:
    """One thing that several keys say together."""

    keys: tuple[str, ...]
    """The first is the one the sentence is about; the line named is that of the first of them that was written."""
    text: str
    """Goes on after "KEY is VALUE, "."""
    is_problem: bool = True


Check = Callable[[Config], list[Issue]]


def problem(key: str, text: str, *others: str) -> Issue:
    """A combination that cannot be used."""
    return Issue((key, *others), text)


def note(key: str, text: str, *others: str) -> Issue:
    """A combination that works and may not be what was meant."""
    return Issue((key, *others), text, is_problem=False)


def sentence(issue: Issue, config: Config, entries: Mapping[str, Entry]) -> str:
    """Return an issue as "FILE line N: KEY is VALUE, ..."."""
    written = next((entries[key].where for key in issue.keys if key in entries), "defaults")
    return f"{written}: {issue.keys[0]} is {shown(value_of(config, issue.keys[0]))}, {issue.text}"


def value_of(config: Config, key: str) -> Any:
    """Return the value of a dotted key."""
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value
