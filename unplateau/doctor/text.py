"""The result as lines for people, and as plain data."""

import dataclasses
import textwrap
from collections.abc import Sequence
from typing import Any

from unplateau.doctor.facts import Check, Machine

_WIDTH = 116
_MARKS = {"ok": "ok", "warning": "WARNING", "problem": "PROBLEM"}


def result_lines(checks: Sequence[Check]) -> list[str]:
    """Return the result, a line for each thing looked at, its fix below it."""
    column = max(len(check.subject) for check in checks)
    lines = [line for check in checks for line in _lines(check, column)]
    return [*lines, "", _summary(checks)]


def _lines(check: Check, column: int) -> list[str]:
    start = f"{_MARKS[check.level]:<8}{check.subject:<{column}}  "
    indent = " " * len(start)
    lines = textwrap.wrap(check.text, _WIDTH, initial_indent=start, subsequent_indent=indent, break_long_words=False)
    fix = check.fix.splitlines()
    if len(fix) == 1:
        lines += textwrap.wrap(f"Fix: {fix[0]}", _WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False)
        return lines
    return lines + [f"{indent}{line}" for line in fix]  # laid out already, such as a list of places looked at


def _summary(checks: Sequence[Check]) -> str:
    problems, warnings = (sum(check.level == level for check in checks) for level in ("problem", "warning"))
    if problems:
        counts = f"{_counted(problems, 'problem')}, {_counted(warnings, 'warning')}"
        return f"{counts}: training would not work as meant. Start at the top."
    if warnings:
        return f"No problem, {_counted(warnings, 'warning')}: nothing stands in the way of training."
    return "All is well."


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def result_data(checks: Sequence[Check], machine: Machine) -> dict[str, Any]:
    """Return the result and the facts as plain data, for `--json`."""
    levels = {check.level for check in checks}
    return {
        "schema": 1,
        "result": next(level for level in ("problem", "warning", "ok") if level in levels),
        "checks": [dataclasses.asdict(check) for check in checks],
        "facts": dataclasses.asdict(machine),
    }
