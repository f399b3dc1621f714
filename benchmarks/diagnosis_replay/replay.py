"""False alarms on recorded healthy curves: each is cut after every epoch and given to the log door, as a user would meet it.

    python benchmarks/diagnosis_replay/replay.py [--output benchmarks/results/diagnosis_replay.md]

The curves are those of the protocol experiment (`benchmarks/protocol`): 30 trainings on Market-1501 mini that learn, with drops
of the rate or a cosine, at batch 16 or 8, flat before a drop and converged at the end. Every alarm on them is a false one: a
finding that is likely and more than a note. Each cut is judged three times, by how much is known beside the curves.

The first replay found 18 alarms, all softmax-before-ce on losses that were falling through its floor; that rule was mended after
them, so for it these curves are no test any more.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from machine import machine_line  # noqa: E402

from unplateau.diagnosis.diagnose import Diagnosis, diagnose  # noqa: E402
from unplateau.runs.foreign_logs.training_log import LogFacts  # noqa: E402
from unplateau.workflows.diagnosing.diagnose import Sources, gather  # noqa: E402

CURVES = Path("benchmarks/results/protocol/curves")
SCORE = "held_out_20_map"  # what a user's validation would show
COLUMNS = {SCORE: "mAP", "held_out_20_rank1": "rank1"}
EPOCHS = 15
_SCALE = 90 / EPOCHS  # the 90 epochs of the stalled run were divided by this, and its milestones with them
_MILESTONES = {"control": (40, 70), "higher_lr": (40, 70), "heavy_triplet": (40, 70), "aggressive": (20, 50),
               "smaller_batch": (40, 70), "cosine": ()}  # fmt: skip
KNOWLEDGE = ("nothing", "identities and margin", "the whole schedule too")


@dataclass(frozen=True)
class Replayed:
    """One cut of one curve, judged."""

    run: str
    epochs: int
    known: str
    diagnosis: Diagnosis


def facts(run: str, known: str) -> LogFacts:
    """What a user who knows so much would pass."""
    if known == KNOWLEDGE[0]:
        return LogFacts()
    if known == KNOWLEDGE[1]:
        return LogFacts(num_identities=150, margin=0.3)
    drops = next(steps for name, steps in _MILESTONES.items() if name in run)
    return LogFacts(
        num_identities=150, margin=0.3, max_epochs=EPOCHS, milestones=tuple(step / _SCALE for step in drops),
        schedule="MultiStepLR" if drops else "CosineAnnealingLR",
    )  # fmt: skip


def replay(folder: Path) -> Iterator[Replayed]:
    """Judge every curve of a folder after each of its epochs."""
    with tempfile.TemporaryDirectory() as place:
        for path in sorted(folder.glob("*.jsonl")):
            lines = path.read_text(encoding="utf-8").splitlines()
            for count in range(2, len(lines) + 1):  # the first line is the score before training
                cut = Path(place) / path.name
                cut.write_text("\n".join(lines[:count]) + "\n", encoding="utf-8")
                for known in KNOWLEDGE:
                    case = gather(Sources(cut, facts=facts(path.stem, known), columns=COLUMNS))
                    yield Replayed(path.stem, count - 1, known, diagnose(case))


def main() -> None:
    """Replay all curves; print and write what was found, and leave with 1 where there was an alarm."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--curves", type=Path, default=CURVES)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/diagnosis_replay.md"))
    arguments = parser.parse_args()
    found = list(replay(arguments.curves))
    alarms = [one for one in found if one.diagnosis.is_alarm]
    rows = []
    for known in KNOWLEDGE:
        those = [one for one in found if one.known == known]
        first = Counter(one.diagnosis.first.code if one.diagnosis.first else "nothing" for one in those)
        count = sum(one.diagnosis.is_alarm for one in those)
        said = ", ".join(f"{code} {number}" for code, number in first.most_common())
        rows.append(f"| {known} | {len(those)} | {count} | {said} |")
    runs = len({one.run for one in found})
    head = [
        "# False alarms on recorded healthy curves", "",
        f"`python benchmarks/diagnosis_replay/replay.py`: {runs} trainings, each cut after every epoch, through the log door. "
        f"{len(alarms)} alarms in {len(found)} judgements.", "", machine_line(), "",
        "| known beside the curves | cuts | alarms | first finding, number of cuts |", "|---|---|---|---|",
    ]  # fmt: skip
    listed = [f"- {one.run}, {one.epochs} epochs, known: {one.known}: {_words(one.diagnosis)}" for one in alarms]
    text = "\n".join([*head, *rows, "", *listed]).rstrip() + "\n"
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(text, encoding="utf-8")
    print(text)
    sys.exit(bool(alarms))


def _words(diagnosis: Diagnosis) -> str:
    return ", ".join(f"{finding.code} ({finding.confidence:.0%})" for finding in diagnosis.findings)


if __name__ == "__main__":
    main()
