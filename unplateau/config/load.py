"""A configuration from a file, what it inherits, and the command line. All problems are reported at once, with their lines.

Files of other code bases are recognised by their keys and imported (`foreign`); what was understood how is said in notes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unplateau.config import foreign
from unplateau.config.build import build, canonical, inactive_note, key_problems, require_no
from unplateau.config.check import check
from unplateau.config.differences import defaults_note
from unplateau.config.entries import COMMAND_LINE, Entry
from unplateau.config.inherit import BASE_KEY, read_with_bases
from unplateau.config.issues import sentence
from unplateau.config.schema import Config
from unplateau.config.tree import ALIASES, leaves


@dataclass(frozen=True)
class Loaded:
    """A configuration, what should be known about it, and where it came from."""

    config: Config
    notes: tuple[str, ...]
    source: str
    """The file as it was named, or "defaults"."""


def load(
    path: Path | None, overrides: Sequence[str] = (), *, code_base: str | None = None, images_per_epoch: int | None = None
) -> Loaded:
    """Load a configuration.

    Args:
        path: a YAML file, ours or another code base's; None = the defaults.
        overrides: KEY VALUE KEY VALUE ..., which win over the file.
        code_base: whose file it is (`foreign.CODE_BASES`); None = told by its keys.
        images_per_epoch: training images, to turn another code base's epochs into steps; None = known from the data set.

    Raises:
        ConfigError: with every problem found.
    """
    problems: list[str] = []
    written = {} if path is None else read_with_bases(path, problems)
    typed = canonical(parse_overrides(overrides, problems), problems)
    translated = foreign.translate(written, typed, code_base=code_base, images_per_epoch=images_per_epoch)
    problems += translated.problems
    entries = translated.entries
    problems += key_problems(entries)
    built = build(entries, problems)
    config, issues = built.config, check(built.config)
    sound = [issue for issue in issues if not built.wrong_keys.intersection(issue.keys)]
    problems += [sentence(issue, config, entries) for issue in sound if issue.is_problem]
    require_no(problems)
    notes = [*translated.notes, *_notes(entries, is_file=path is not None and not translated.code_base)]
    notes += [sentence(issue, config, entries) for issue in issues if not issue.is_problem]
    return Loaded(config, tuple(notes), "defaults" if path is None else str(path))


def parse_overrides(overrides: Sequence[str], problems: list[str]) -> dict[str, Entry]:
    """Return the trailing KEY VALUE pairs of a command line; what is wrong with them is added to `problems`."""
    words = _joined_lists(overrides)
    entries: dict[str, Entry] = {}
    if len(words) % 2:
        odd = next((word for word in words[::2] if "=" in word), "")
        hint = f"Write {odd.replace('=', ' ', 1)!r} with a space." if odd else "Write KEY VALUE KEY VALUE."
        problems.append(f"{COMMAND_LINE}: {' '.join(words)!r} is not made of pairs, expected KEY VALUE. {hint}")
        return entries
    for key, value in zip(words[::2], words[1::2], strict=True):
        if key == BASE_KEY:
            problems.append(f"{COMMAND_LINE}: {BASE_KEY} can only be given in a file.")
            continue
        entries[key] = Entry(value, COMMAND_LINE)
    return entries


def _joined_lists(words: Sequence[str]) -> list[str]:
    """`STEPS [20, 50]` arrives from the shell as three words."""
    joined: list[str] = []
    for word in words:
        is_open = bool(joined) and len(joined) % 2 == 0 and joined[-1][:1] in ("[", "(") and joined[-1][-1:] not in ("]", ")")
        if is_open:
            joined[-1] += f" {word}"
            continue
        joined.append(word)
    return joined


def _notes(entries: Mapping[str, Entry], *, is_file: bool) -> list[str]:
    notes = [inactive_note(entries)]
    keys = frozenset(entries)
    is_ours = any(leaves()[key].is_ours for key in keys if key in leaves()) or bool(keys.intersection(ALIASES))
    if is_file and not is_ours:
        notes += [defaults_note(keys), _steps_note(entries)]
    return [text for text in notes if text]


def _steps_note(entries: Mapping[str, Entry]) -> str | None:
    """A hand-written file of fast-reid looks like one of ours."""
    steps = entries.get("SOLVER.STEPS")
    if steps is None:
        return None
    return (
        f"{steps.where}: SOLVER.STEPS is {steps.shown}, read as absolute epochs. fast-reid counts them from the end of warm-up; "
        "if the file is meant for fast-reid, `unplateau config import FILE --from fast-reid` converts them."
    )
