"""How often each finding that stood first named a right cause, over the files of unseen faults, each as judged at its only look.

    python benchmarks/plateaubench/track_record.py

Prints the table of unplateau/diagnosis/track_record.py, and how well confidence held: as told, and where a file's answers are no
surer than the record in the other files allows. Reads the reports in benchmarks/results; trains and judges nothing.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.plateaubench.diagnosing import Answer  # noqa: E402
from benchmarks.plateaubench.scoring import SURE, Case  # noqa: E402
from unplateau.diagnosis.track_record import LIKELY, expected_right  # noqa: E402

RESULTS = Path(__file__).parents[1] / "results"


@dataclass(frozen=True)
class Told:
    """A first answer about a fault that hurt."""

    file: str
    code: str
    confidence: float
    is_right: bool


def told(folder: Path = RESULTS) -> tuple[Told, ...]:
    """Return all first answers, with watching and probes, of the reports of unseen faults."""
    return tuple(one for path in sorted(folder.glob("plateaubench_unseen_*.json")) for one in _told(path))


def _told(path: Path) -> Iterable[Told]:
    for fault in json.loads(path.read_text(encoding="utf-8"))["faults"]:
        said = fault["answers"]["probes"]
        if fault["hurts"] and said["alarm"] and said["causes"]:
            answer = Answer(True, tuple(map(tuple, said["causes"])), said["confidence"])
            is_right = Case(fault["name"], frozenset(fault["causes"]), answer).is_right()
            yield Told(path.stem.removeprefix("plateaubench_unseen_"), said["findings"][0], said["confidence"], is_right)


def right_of_first(answers: Iterable[Told]) -> dict[str, tuple[int, int]]:
    """Return for each code how often it was right, and how often it stood first."""
    counted: dict[str, tuple[int, int]] = {}
    for one in answers:
        right, stood_first = counted.get(one.code, (0, 0))
        counted[one.code] = right + one.is_right, stood_first + 1
    return dict(sorted(counted.items()))


def row(name: str, pairs: list[tuple[float, bool]]) -> str:
    """Return how well confidences held."""
    sure = [is_right for confidence, is_right in pairs if confidence >= SURE]
    log_loss = -sum(math.log(confidence if is_right else 1 - confidence) for confidence, is_right in pairs) / len(pairs)
    brier = sum((confidence - is_right) ** 2 for confidence, is_right in pairs) / len(pairs)
    return f"| {name} | {len(pairs)} | {len(sure)} | {len(sure) - sum(sure)} | {brier:.3f} | {log_loss:.3f} |"


def confidence_table(answers: tuple[Told, ...]) -> list[str]:
    """How well confidence held: as it was told, and no surer than the record in the other files allows."""
    lines = ["| confidence | answers | sure | of these wrong | Brier | log loss |", "|---|---|---|---|---|---|"]
    files = {one.file for one in answers}
    record_of_others = {file: right_of_first(other for other in answers if other.file != file) for file in files}
    capped = []
    for one in answers:
        record = record_of_others[one.file]
        most = max(LIKELY, expected_right(*record[one.code])) if one.code in record else 1.0
        capped.append((min(one.confidence, most), one.is_right))
    return [*lines, row("as told", [(one.confidence, one.is_right) for one in answers]), row("no surer than the record", capped)]


def main() -> None:
    answers = told()
    for code, (right, stood_first) in right_of_first(answers).items():
        print(f'    "{code}": ({right}, {stood_first}),')
    print()
    print("\n".join(confidence_table(answers)))


if __name__ == "__main__":
    main()
