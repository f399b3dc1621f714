"""Text logs of reid-strong-baseline, TransReID, CLIP-ReID and SOLIDER: only the total loss, as a mean since the epoch began."""

from __future__ import annotations

import math
import re
from pathlib import Path

from unplateau.runs.foreign_logs.text_facts import TextFacts
from unplateau.runs.foreign_logs.text_lines import COUNT, PERCENT, number, text_lines
from unplateau.runs.foreign_logs.training_log import LogBuilder, LogFacts, LogPoint, TrainingLog

TRAINER = "reid-strong-baseline family"
_LINE = re.compile(
    rf"Epoch\[({COUNT})\] Iteration\[({COUNT})/({COUNT})\] "
    r"Loss: ([^\s,]+)(?:, Acc: ([^\s,]+))?(?:, Base Lr: ([^\s,]+))?"
)
_MAP = re.compile(rf"\bmAP:\s*({PERCENT})%")
_RANK1 = re.compile(rf"Rank-1\s*:\s*({PERCENT})%")
_STD = 0.001  # weights_init_classifier of all four


def looks_like(lines: list[str]) -> bool:
    """Return whether these are lines of such a log."""
    return any(_LINE.search(line) for line in lines)


def read(path: Path) -> TrainingLog:
    """Read the log; what only the total can say is left to the reader of the log."""
    builder, found = LogBuilder(), TextFacts()
    per_epoch = None
    for line in text_lines(path):
        if row := _LINE.search(line):
            epoch, step, per_epoch = int(row[1]), int(row[2]), int(row[3])
            values = _values(row)
            builder.add(LogPoint(epoch, (epoch - 1) * per_epoch + step, values))
            if not all(map(math.isfinite, values.values())):
                found.read(line)
        elif score := _MAP.search(line):
            builder.add_to_last({"mAP": float(score[1]) / 100})
        elif score := _RANK1.search(line):
            builder.add_to_last({"rank1": float(score[1]) / 100})
        else:
            found.read(line)
    builder.note("this trainer writes only the total loss: its cross-entropy and triplet parts cannot be told apart")
    facts = found.facts(iterations_per_epoch=per_epoch).filled_from(LogFacts(iterations_per_epoch=per_epoch, initial_std=_STD))
    return TrainingLog(
        TRAINER, str(path), builder.finish(), facts, found.config, tuple(found.symptoms), tuple(builder.notes), running_means=True
    )


def _values(row: re.Match[str]) -> dict[str, float]:
    named = {"total": row[4], "accuracy": row[5], "learning_rate": row[6]}
    values = {name: number(text) for name, text in named.items() if text is not None}
    return {name: value for name, value in values.items() if value is not None}
