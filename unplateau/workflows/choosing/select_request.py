"""What `find-best --compare-only` was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unplateau.workflows.solving.choose_solution import compare_command


@dataclass(frozen=True)
class SelectRequest:
    """A command line of `find-best --compare-only`."""

    output_dir: Path
    seeds: int = 0
    """Fresh seeds to train of the best recipes before they are compared; 0 = none."""
    top: int = 0
    """How many recipes are trained again; 0 = the winner and those that cannot be told apart from it, two to four."""
    is_quiet: bool = False

    @property
    def command(self) -> str:
        """The command line that does this again."""
        return compare_command(self.output_dir)
