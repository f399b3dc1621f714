"""What the lint says about a data set, and how it is written down. The checks: `lint` (names and sizes), `lint_pixels`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]
_ORDER: tuple[Severity, ...] = ("error", "warning", "info")
_EXAMPLES = 3


@dataclass(frozen=True)
class LintFinding:
    """One odd thing about the data.

    Attributes:
        code: short and stable, for programs.
        severity: error = scores or training would be wrong; warning = worth a look; info = harmless, good to know.
        message: what was seen, with a count and up to three examples.
        fix: what to do about it.
    """

    code: str
    severity: Severity
    message: str
    fix: str


def render(findings: Sequence[LintFinding]) -> str:
    """Return findings as plain text, the gravest first, two lines each; empty for none."""
    ranked = sorted(findings, key=lambda finding: _ORDER.index(finding.severity))
    return "\n".join(f"{one.severity}: {one.message} [{one.code}]\n    {one.fix}" for one in ranked)


def examples(words: Sequence[object]) -> str:
    """Return up to three words for a message.

    >>> examples([7, 8, 9, 10])
    '7, 8, 9, ...'
    """
    return ", ".join(str(word) for word in words[:_EXAMPLES]) + (", ..." if len(words) > _EXAMPLES else "")
