"""Writes solutions as configuration files, and the launchers that run them all.

A file that says something else is never overwritten unasked; one that sets the same values counts as the same, whatever its
comments say, so that no solution is trained twice.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from unplateau.base.errors import RecordError
from unplateau.base.files import write_text
from unplateau.config.delta import to_delta_yaml
from unplateau.runs.record import Finding, Solution
from unplateau.solutions.asked_for import ASKED_FOR

_MOST_BESIDE = 1000
_WIDTH = 116
_ASKED_NAMES = tuple(asked.name for asked in ASKED_FOR)


@dataclass(frozen=True)
class Written:
    """What happened to one file."""

    path: Path
    state: str
    """"new", "unchanged", "beside" (a different one was kept) or "replaced"."""


def write_solutions(
    folder: Path, solutions: Sequence[Solution], *, base: Path, findings: Sequence[Finding] = (), force: bool = False
) -> tuple[Written, ...]:
    """Write one YAML a solution: `_BASE_`, the change, and a header that says what it tests.

    Args:
        folder: where to; it is made.
        solutions: in the order of expected gain.
        base: configuration that the solutions change; written relative to `folder` where that is possible.
        findings: to say which of them a solution treats.
        force: replace files that differ.
    """
    relative = _relative(base, folder)
    written = []
    for place, solution in enumerate(solutions, 1):
        header = header_of(solution, findings, place=place, total=len(solutions))
        text = to_delta_yaml(solution.delta, base=relative, header=header)
        written.append(write_beside(folder / f"{solution.name}.yml", text, force=force))
    return tuple(written)


def write_launchers(folder: Path, solutions_folder: Path, *, force: bool = False) -> tuple[Written, ...]:
    """Write run_plateau_solutions.bat and .sh, each one line over `unplateau run-solutions`."""
    target = _relative(solutions_folder, folder)
    windows = target.replace("/", "\\")
    folder.mkdir(parents=True, exist_ok=True)
    shell = f'#!/bin/sh\ncd "$(dirname "$0")" && exec python -m unplateau.cli.main run-solutions "{target}" "$@"\n'
    batch = f'@cd /d "%~dp0" && python -m unplateau.cli.main run-solutions "{windows}" %*\n'
    texts = {folder / "run_plateau_solutions.sh": shell, folder / "run_plateau_solutions.bat": batch}
    return tuple(_launcher(path, text, force=force) for path, text in texts.items())


def header_of(solution: Solution, findings: Sequence[Finding], *, place: int, total: int) -> tuple[str, ...]:
    """Return the comment above a solution: hypothesis, expected effect, and which finding it treats."""
    lines = [f"{solution.name} (number {place} of {total} by expected gain)", f"Hypothesis: {solution.hypothesis}"]
    if solution.expected:
        asked = ", as asked" if solution.name in _ASKED_NAMES else ""
        lines.append(f"Expected effect{asked}: {solution.expected}")
    lines.append(_treats(solution, findings))
    if not solution.delta:
        lines.append("Nothing is changed: the run's own recipe, in a trainer that checks that the weights move.")
    return tuple(textwrap.fill(line, _WIDTH, subsequent_indent="  ") for line in lines)


def write_beside(path: Path, text: str, *, force: bool) -> Written:
    """Write `text` to `path`; where another text is there, to a name beside it, unless `force`."""
    if not path.exists():
        write_text(path, text)
        return Written(path, "new")
    if _same(path, text):
        return Written(path, "unchanged")
    if force:
        write_text(path, text)
        return Written(path, "replaced")
    for number in range(2, _MOST_BESIDE):
        other = path.with_name(f"{path.stem}.{number}{path.suffix}")
        if other.exists() and _same(other, text):
            return Written(other, "unchanged")
        if not other.exists():
            write_text(other, text)
            return Written(other, "beside")
    raise RecordError(f"{path}: {_MOST_BESIDE} files of that name; remove some, or pass --force.")


def _treats(solution: Solution, findings: Sequence[Finding]) -> str:
    if solution.treats:
        return f"Treats: {', '.join(solution.treats)}"
    if not findings:
        return "Treats none of the findings: nothing has been diagnosed yet; an experiment."
    first = findings[0]
    reason = "it cannot help until that is fixed" if first.severity == "pipeline" else "an experiment, not a cure"
    return f"Treats none of the findings: the first is {first.code} ({first.title.lower()}); {reason}."


def _launcher(path: Path, text: str, *, force: bool) -> Written:
    if path.exists() and not force:
        return Written(path, "unchanged")  # a launcher of the project's own is as good
    state = "replaced" if path.exists() else "new"
    write_text(path, text)
    path.chmod(0o755)
    return Written(path, state)


def _same(path: Path, text: str) -> bool:
    try:
        return bool(yaml.safe_load(path.read_text(encoding="utf-8")) == yaml.safe_load(text))
    except (yaml.YAMLError, UnicodeDecodeError):
        return False


def _relative(target: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(target, folder)).as_posix()
    except ValueError:  # another drive on Windows
        return target.resolve().as_posix()
