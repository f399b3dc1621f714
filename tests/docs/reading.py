"""Finds the commands and the links in what people read, and checks a command without carrying it out."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer.main

from unplateau.cli.main import app

ROOT = Path(__file__).parents[2]
GUIDES = (*sorted(ROOT.glob("*.txt")), ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md")))
PAGES = (
    *GUIDES,
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / f"{name}.md" for name in ("ARCHITECTURE", "CONTRIBUTING", "CHANGELOG")),
)
OF_COMMANDS = tuple(page for page in PAGES if page.name not in ("ARCHITECTURE.md", "CHANGELOG.md"))
"""Pages whose commands are to be typed; the others tell of them."""
VERB_OF_SCRIPT = {
    "python train_research_grade.py": "train",
    "python solve_plateau.py": "solve",
    "solve_plateau.py": "solve",
    "python find_best_model.py": "find-best",
    "find_best_model.py": "find-best",
    "./run_plateau_solutions.sh": "run-solutions",
    "run_plateau_solutions.sh": "run-solutions",
    "run_plateau_solutions.bat": "run-solutions",
}
_STARTS = (
    "python ", "python3 ", "unplateau ", "make ", "make.bat ", "./", "run_plateau_solutions.sh ", "run_plateau_solutions.bat",
    "find_best_model.py ", "solve_plateau.py ", "pip ", "ray ", "source ", "export ", "set ", ".venv\\Scripts\\activate",
    "Set-ExecutionPolicy ",
)  # fmt: skip
_FLAGS_ARE_OF = "python train_research_grade.py --config-file F --run-name N"
"""What the flags of README's table are appended to."""


@dataclass(frozen=True)
class Command:
    """One command line of a page."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """Verb and arguments of the `unplateau` command; empty for other programs."""
        for script, verb in {**VERB_OF_SCRIPT, "unplateau": ""}.items():
            if self.text == script or self.text.startswith(f"{script} "):
                return [*verb.split(), *shlex.split(self.text.removeprefix(script))]
        return []


def commands() -> list[Command]:
    """Every command of every page, each once a page, in order."""
    found = [Command(page.name, line) for page in OF_COMMANDS for line in _lines(page)]
    return list(dict.fromkeys(found))


def _lines(page: Path) -> Iterator[str]:
    text = re.sub(r"\\\n\s*", "", page.read_text(encoding="utf-8"))  # a line that goes on in the next one
    fence = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
    candidates = re.findall(r"^ {4,}(\S.*)$", text, re.MULTILINE)
    candidates += [line for block in fence.findall(text) for line in block.splitlines()]
    prose = fence.sub("", text)
    if page.suffix == ".md":
        candidates += [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    for candidate in candidates:
        command = re.split(r"\s{2,}|\s#", candidate.strip())[0]
        if command.startswith(_STARTS):
            yield command
    if page.name == "README.md":
        yield from _of_table(prose)


def _of_table(text: str) -> Iterator[str]:
    """README's table gives flags alone, and keys that are added to the command of the row before."""
    before = ""
    for row in re.findall(r"^\|.*\|$", text, re.MULTILINE):
        said = row.strip("|").split("|")[-1].strip()
        spans = re.findall(r"`([^`]+)`", said)
        if spans and spans[0].startswith("--"):
            yield f"{_FLAGS_ARE_OF} {spans[0]}"
        if said.startswith("the same with `"):
            yield f"{before} {spans[0]}"
        before = spans[0] if spans else before


def parsed(command: Command) -> dict[str, Any]:
    """Let the command line be read by the program itself, carrying nothing out; return its options.

    Raises:
        click.UsageError: there is no such verb or option, or a value is not one.
    """
    group, words, values = typer.main.get_command(app), command.words, {}
    while words:
        context = group.make_context("unplateau", list(words), resilient_parsing=False)
        values = context.params
        rest = [*context.protected_args, *context.args] if hasattr(context, "protected_args") else context.args
        if not hasattr(group, "commands") or not rest:
            break
        name = words[0]
        assert name in group.commands, f"there is no verb {name}"
        group, words = group.commands[name], words[1:]
        if not hasattr(group, "commands"):
            return dict(group.make_context(name, list(words)).params)
    return dict(values)


def links(page: Path) -> list[str]:
    """Relative links of a Markdown page, and paths of the repository that a text names."""
    text = page.read_text(encoding="utf-8")
    found = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    return [target for target in found if target and not target.startswith(("http://", "https://"))]


def named_files(page: Path) -> set[str]:
    """Files of the repository that a page names outside links."""
    text = page.read_text(encoding="utf-8")
    return set(re.findall(r"(?<![\w/.])((?:custom_configs|docs|benchmarks)/[\w./-]+\.(?:yml|md|csv|py))", text))
