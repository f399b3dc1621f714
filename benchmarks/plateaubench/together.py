"""Several files of unseen faults counted as one, with 95 % intervals, from their reports.

    python benchmarks/plateaubench/together.py tenth eleventh
    python benchmarks/plateaubench/together.py twelfth --accepted benchmarks/results/plateaubench_twelfth_authors.json

Reads benchmarks/results/plateaubench_unseen_NAME.json; trains and judges nothing. `--accepted`: other right answers, fault
by fault, such as what the authors of a file accepted before anybody else had read it. `--why`: words for a part of the training
count neither as said nor as right, and faults that accept nothing else are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.plateaubench.diagnosing import VIEWS, Answer  # noqa: E402
from benchmarks.plateaubench.scoring import Case, interval, score  # noqa: E402
from unplateau.diagnosis.causes import PLACES  # noqa: E402

RESULTS = Path(__file__).parents[1] / "results"


Accepted = Mapping[str, Sequence[str]]
"""Fault: right answers, in place of those of its report."""


def why(case: Case) -> Case:
    """Return a case without the words that say where a fault lies and not what it is."""
    said = replace(case.answer, ranked=tuple(tuple(word for word in words if word not in PLACES) for words in case.answer.ranked))
    return replace(case, causes=case.causes - set(PLACES), answer=said)


def cases(names: Sequence[str], view: str, folder: Path = RESULTS, accepted: Accepted | None = None) -> list[Case]:
    """Return the faults that hurt of all files, with the answer of one view."""
    found = []
    for name in names:
        for fault in json.loads((folder / f"plateaubench_unseen_{name}.json").read_text(encoding="utf-8"))["faults"]:
            said = fault["answers"][view]
            answer = Answer(said["alarm"], tuple(map(tuple, said["causes"])), said["confidence"])
            if fault["hurts"]:
                found.append(Case(fault["name"], frozenset((accepted or {}).get(fault["name"], fault["causes"])), answer))
    return found


def table(names: Sequence[str], folder: Path = RESULTS, accepted: Accepted | None = None, *, is_why: bool = False) -> list[str]:
    """Return the lines of a table, a view each."""
    head = ["| with | faults | top-1 | top-3 | said nothing | wrong | surely wrong |", "|---|---|---|---|---|---|---|"]
    lines = [f"{' + '.join(names)}:", "", *head]
    for view in VIEWS:
        told = cases(names, view, folder, accepted)
        found = score([one for one in map(why, told) if one.causes] if is_why else told)
        counts = (found.top1, found.top3, found.abstained, found.wrong, found.surely_wrong)
        lines.append(f"| {view} | {found.count} | " + " | ".join(_share(count, found.count) for count in counts) + " |")
    return lines


def _share(count: int, whole: int) -> str:
    low, high = interval(count, whole)
    return f"{count / whole:.0%} ({count}; {low:.0%} to {high:.0%})"


def main() -> None:
    """Print the table of the files that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--accepted", type=Path)
    parser.add_argument("--why", action="store_true")
    asked = parser.parse_args()
    accepted = None if asked.accepted is None else json.loads(asked.accepted.read_text(encoding="utf-8"))
    print("\n".join(table(asked.names, accepted=accepted, is_why=asked.why)))


if __name__ == "__main__":
    main()
