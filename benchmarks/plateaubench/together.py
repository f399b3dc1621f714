"""Several files of unseen faults counted as one, with 95 % intervals, from their reports.

    python benchmarks/plateaubench/together.py tenth eleventh

Reads benchmarks/results/plateaubench_unseen_NAME.json; trains and judges nothing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.plateaubench.diagnosing import VIEWS, Answer  # noqa: E402
from benchmarks.plateaubench.scoring import Case, interval, score  # noqa: E402

RESULTS = Path(__file__).parents[1] / "results"


def cases(names: list[str], view: str, folder: Path = RESULTS) -> list[Case]:
    """Return the faults that hurt of all files, with the answer of one view."""
    found = []
    for name in names:
        for fault in json.loads((folder / f"plateaubench_unseen_{name}.json").read_text(encoding="utf-8"))["faults"]:
            said = fault["answers"][view]
            answer = Answer(said["alarm"], tuple(map(tuple, said["causes"])), said["confidence"])
            if fault["hurts"]:
                found.append(Case(fault["name"], frozenset(fault["causes"]), answer))
    return found


def table(names: list[str], folder: Path = RESULTS) -> list[str]:
    """Return the lines of a table, a view each."""
    head = ["| with | faults | top-1 | top-3 | said nothing | wrong | surely wrong |", "|---|---|---|---|---|---|---|"]
    lines = [f"{' + '.join(names)}:", "", *head]
    for view in VIEWS:
        found = score(cases(names, view, folder))
        counts = (found.top1, found.top3, found.abstained, found.wrong, found.surely_wrong)
        lines.append(f"| {view} | {found.count} | " + " | ".join(_share(count, found.count) for count in counts) + " |")
    return lines


def _share(count: int, whole: int) -> str:
    low, high = interval(count, whole)
    return f"{count / whole:.0%} ({count}; {low:.0%} to {high:.0%})"


if __name__ == "__main__":
    print("\n".join(table(sys.argv[1:])))
