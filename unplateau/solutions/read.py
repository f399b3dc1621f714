"""Reads a folder of solution files back: what each is a change of, and what its header says it should bring."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unplateau.base.errors import DataNotFoundError
from unplateau.config.inherit import BASE_KEY
from unplateau.config.yaml_file import plain_tree

_LABEL = re.compile(r"(Hypothesis|Expected effect(?:, as asked)?|Hoped for|Change|Why|Caveat|Treats)\s*:\s*(.*)")
_EXPECTED = ("Hoped for", "Expected effect, as asked", "Expected effect")


@dataclass(frozen=True)
class SolutionFile:
    """One experiment as its file describes it."""

    name: str
    path: Path
    base: Path | None = None
    """The configuration it changes; None where it names none, or several."""
    hypothesis: str = ""
    expected: str = ""


def read_solutions(folder: Path) -> tuple[SolutionFile, ...]:
    """Return the solution files of a folder in the order of their numbers.

    Raises:
        DataNotFoundError: there is none.
    """
    if not folder.is_dir():
        raise DataNotFoundError(f"There is no folder {folder}. Name the folder that holds the solution files (*.yml).")
    paths = sorted((*folder.glob("*.yml"), *folder.glob("*.yaml")), key=_by_number)
    if not paths:
        raise DataNotFoundError(
            f"{folder} holds no solution file (*.yml). `python solve_plateau.py` writes the five; or name another folder."
        )
    return tuple(_read(path) for path in paths)


def common_base(solutions: Sequence[SolutionFile]) -> Path | None:
    """Return the configuration that most of the solutions change: the stalled run, and so the control."""
    bases = Counter(solution.base.resolve() for solution in solutions if solution.base is not None)
    if not bases:
        return None
    chosen = bases.most_common(1)[0][0]
    return next(solution.base for solution in solutions if solution.base is not None and solution.base.resolve() == chosen)


def _read(path: Path) -> SolutionFile:
    text = path.read_text(encoding="utf-8", errors="replace")
    said = _header(text)
    expected = next((said[label] for label in _EXPECTED if label in said), "")
    return SolutionFile(path.stem, path, _base(path, text), said.get("Hypothesis", ""), expected.rstrip("."))


def _header(text: str) -> dict[str, str]:
    """The labelled sentences of the leading comment; lines without a label continue the one before."""
    said: dict[str, str] = {}
    label = ""
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        words = line.lstrip("#").strip()
        match = _LABEL.match(words)
        if match:
            label = match[1]
            said[label] = match[2].strip()
        elif label:
            said[label] = f"{said[label]} {words}".strip()
    return said


def _base(path: Path, text: str) -> Path | None:
    base = plain_tree(text).get(BASE_KEY)  # what is wrong with the file is said when it is loaded as a configuration
    return path.parent / base.replace("\\", "/") if isinstance(base, str) and base else None


def _by_number(path: Path) -> tuple[int, str]:
    match = re.match(r"solution_(\d+)", path.stem)
    return (int(match[1]) if match else 1 << 30, path.name)
