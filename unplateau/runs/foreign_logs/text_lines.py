"""Lines of a text log of any length and encoding, one at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

COUNT = r"\d{1,15}"
"""Of an epoch or a step, in a pattern: what has more digits counts nothing."""
MOST_COUNTED = 10**15 - 1
PERCENT = r"\d{1,6}(?:\.\d{0,300})?"
"""Of a score, in a pattern."""
_LONGEST_LINE = 1 << 16
_MOST_CHARACTERS = 8 << 20  # to tell a format by: a printed model and configuration have some 300,000
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:(?:,\d{3}){2,}(?:\.\d+)?|,\d{3}\.\d+)")
_PARTED = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+")
_BYTE_ORDER_MARKS = b"\xff\xfe\xef\xbb\xbf"


def text_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a log without their ends, read as a stream.

    UTF-8 and UTF-16 (as PowerShell's `>` writes it) may be mixed in one file, colour codes are taken out, bytes that are no text
    become the replacement character, and lines over 64 KiB come in pieces.
    """
    with path.open("rb") as stream:
        while raw := stream.readline(_LONGEST_LINE):
            line = raw.replace(b"\0", b"").lstrip(_BYTE_ORDER_MARKS).decode("utf-8", errors="replace")
            yield from _COLOUR.sub("", line).rstrip("\r\n").split("\r")


def first_lines(path: Path, count: int = 4000) -> list[str]:
    """Return up to `count` first lines, for telling formats apart; fewer where lines are endless."""
    found: list[str] = []
    num_characters = 0
    for line in text_lines(path):
        found.append(line)
        num_characters += len(line)
        if len(found) >= count or num_characters >= _MOST_CHARACTERS:
            break
    return found


def number(text: str) -> float | None:
    """Return the number written in `text`, NaN and infinity included, or None.

    >>> number("3.50e-05"), number("nan"), number("12:00")
    (3.5e-05, nan, None)
    """
    try:
        return float(text)
    except ValueError:
        return None


def decimal(text: str) -> float | None:
    """Return the number written in `text`, with a decimal point or a decimal comma, or None.

    Commas part thousands where nothing else can be meant: two of them, or a decimal point after them. One comma with three
    digits after it is read as a decimal comma: a loss of 6,724 is likelier in a log than a count; for counts see `count`.

    >>> decimal("6,72"), decimal("3,5e-4"), decimal("6.72"), decimal("1,234,567"), decimal("24,238.5"), decimal("1,2,3")
    (6.72, 0.00035, 6.72, 1234567.0, 24238.5, None)
    """
    found = number(text)
    if found is not None:
        return found
    if _THOUSANDS.fullmatch(text.strip()):
        return number(text.replace(",", ""))
    return number(text.replace(",", ".")) if _DECIMAL_COMMA.fullmatch(text.strip()) else None


def count(text: str) -> float | None:
    """Return a count such as the number of a step: a comma before three digits parts thousands there.

    >>> count("24,238"), count("998"), count("0,998"), count("1,2")
    (24238.0, 998.0, 0.998, 1.2)
    """
    return number(text.replace(",", "")) if _PARTED.fullmatch(text.strip()) else decimal(text)


def counted(value: float | None) -> int | None:
    """Return an epoch or a step as a whole number; None where there is none, or no number that counts.

    >>> counted(3.0), counted(None), counted(float("inf"))
    (3, None, None)
    """
    return None if value is None or not abs(value) <= MOST_COUNTED else int(value)
