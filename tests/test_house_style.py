"""What the house style says about sizes and no linter checks."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_LINES_OF_A_FUNCTION = 60
THE_LOOP = ("unplateau/engine/loop.py", "train")  # one loop that reads top to bottom
SOURCES = sorted(
    path
    for folder in ("unplateau", "tests", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("folder", ["unplateau", "tests", "benchmarks"])
def test_no_function_is_longer_than_a_screen(folder: str) -> None:
    long = [
        (_name(path), name, lines)
        for path in SOURCES
        if _name(path).startswith(f"{folder}/")
        for name, lines in _functions(path)
        if lines > MOST_LINES_OF_A_FUNCTION and (_name(path), name) != THE_LOOP
    ]
    assert not long
