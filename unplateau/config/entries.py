"""What was written where: raw values with the place they came from, and how raw text becomes a typed value.

Text is only understood once the key's type is known: `off` is a word for DATALOADER.CACHE and False for SOLVER.AMP.ENABLED,
`1e-3` is a number (PyYAML reads a string), `"(20, 50)"` and `('Market1501')` are lists (as fast-reid reads them).
"""

import ast
import re
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

COMMAND_LINE = "command line"
_TRUE_WORDS = frozenset({"true", "yes", "on"})
_FALSE_WORDS = frozenset({"false", "no", "off"})
_INTEGER = re.compile(r"[-+]?\d{1,300}")
_FLOAT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Entry:
    """A value as it was written, and where."""

    raw: Any
    """Text, None, or a list of these, from a file; any plain value from a program."""
    where: str
    """Such as "a.yml line 12" or "command line"."""

    @property
    def shown(self) -> str:
        """The value for a message, cut where it is long."""
        return shown(self.raw)


def shown(value: Any) -> str:
    """Return a value as a message shows it.

    >>> shown((20, 50)), shown(""), shown(["a", "b"])
    ('[20, 50]', "''", '[a, b]')
    """
    text = f"[{', '.join(map(shown, value))}]" if isinstance(value, (list, tuple)) else str(value)
    text = text if text.isprintable() else repr(text)
    return (text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "...") or "''"


def decode(text: str) -> Any:
    """Return what a piece of text says: a truth value, a number, a list, or the text itself.

    >>> decode("1e-3"), decode("off"), decode("(20, 50)"), decode("[Market1501, MSMT17]"), decode("cpu")
    (0.001, False, (20, 50), ['Market1501', 'MSMT17'], 'cpu')
    """
    text = text.strip()
    if text.lower() in _TRUE_WORDS:
        return True
    if text.lower() in _FALSE_WORDS:
        return False
    if _INTEGER.fullmatch(text):
        return int(text)
    if len(text) <= 300 and _FLOAT.fullmatch(text):
        return float(text)
    if text[:1] in ("(", "[", "'", '"'):
        return _literal(text)
    return text


def coerce(raw: Any, annotation: Any) -> Any:
    """Bring a raw value as near to a key's type as it can be without guessing; the schema judges the result.

    Args:
        raw: as in `Entry`.
        annotation: the key's type in the schema.
    """
    origin = get_origin(annotation)
    if origin is tuple:
        return _coerce_tuple(raw, get_args(annotation))
    choices = get_args(annotation) if origin is Literal else ()
    if annotation is str or (choices and isinstance(choices[0], str)):
        return _coerce_text(raw)
    value = decode(raw) if isinstance(raw, str) else raw
    if annotation is not bool and isinstance(value, bool):
        return str(raw)  # pydantic would take True as 1
    return int(value) if choices and isinstance(value, float) and value.is_integer() else value


def _coerce_text(raw: Any) -> Any:
    if raw is None:
        return ""
    if not isinstance(raw, str):
        return raw
    if len(raw) >= 2 and raw[0] == raw[-1] and raw[0] in "'\"":
        return raw[1:-1]  # cmd.exe hands quotes on
    value = _literal(raw) if raw.startswith(("('", '("')) else raw
    return value if isinstance(value, str) else raw


def _coerce_tuple(raw: Any, items: tuple[Any, ...]) -> Any:
    is_text = items[0] is str
    value = decode(raw) if isinstance(raw, str) and (not is_text or raw.strip()[:1] in ("(", "[", "'", '"')) else raw
    if isinstance(value, (list, tuple)):
        return tuple(coerce(item, items[0]) for item in value)
    if value is None or items[-1] is not Ellipsis or value == "":
        return () if value == "" and items[-1] is Ellipsis else value
    return (coerce(value, items[0]),)


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return _bare_list(text)


def _bare_list(text: str) -> Any:
    """The shell took the quotes away: `[Market1501, MSMT17]`."""
    if text[0] + text[-1] not in ("()", "[]") or len(text) < 2:
        return text
    return [item.strip().strip("'\"") for item in text[1:-1].split(",") if item.strip()]
