"""torchreid's (deep-person-reid's) output: each value with its running mean in brackets; accuracy and scores in percent."""

from __future__ import annotations

import math
import re
from pathlib import Path

from unplateau.runs.foreign_logs.names import canonical
from unplateau.runs.foreign_logs.text_facts import TextFacts
from unplateau.runs.foreign_logs.text_lines import COUNT, PERCENT, number, text_lines
from unplateau.runs.foreign_logs.training_log import LogBuilder, LogFacts, LogPoint, TrainingLog

TRAINER = "torchreid"
_LINE = re.compile(rf"epoch: \[({COUNT})/({COUNT})\]\[({COUNT})/({COUNT})\]\s+(.*)")
_VALUE = re.compile(r"([A-Za-z_]\w*) (\S+)(?: \(([^)\s]+)\))?")
_MAP = re.compile(rf"^\s*mAP:\s*({PERCENT})%")
_RANK1 = re.compile(rf"^\s*Rank-1\s*:\s*({PERCENT})%")
_LEFT_OUT = ("time", "data", "eta")


def looks_like(lines: list[str]) -> bool:
    """Return whether these are lines of such output."""
    return any(_LINE.search(line) for line in lines)


def read(path: Path) -> TrainingLog:
    """Read the output; the running means are taken, an epoch's last stands for it."""
    builder, found = LogBuilder(), TextFacts()
    facts = LogFacts()
    for line in text_lines(path):
        if row := _LINE.search(line):
            epoch, per_epoch = int(row[1]), int(row[4])
            values = _values(row[5])
            builder.add(LogPoint(epoch, (epoch - 1) * per_epoch + int(row[3]), values))
            if not all(map(math.isfinite, values.values())):
                found.read(line)
            facts = LogFacts(max_epochs=int(row[2]), iterations_per_epoch=per_epoch)
        elif score := _MAP.search(line):
            builder.add_to_last({"mAP": float(score[1]) / 100})
        elif score := _RANK1.search(line):
            builder.add_to_last({"rank1": float(score[1]) / 100})
        else:
            found.read(line)
    facts = found.facts().filled_from(facts)
    return TrainingLog(
        TRAINER, str(path), builder.finish(), facts, found.config, tuple(found.symptoms), tuple(builder.notes), running_means=True
    )


def _values(text: str) -> dict[str, float]:
    values = {}
    for name, latest, mean in _VALUE.findall(text):
        value = number(mean or latest)
        if value is not None and name not in _LEFT_OUT:
            ours = canonical(name) or name
            values[ours] = value / 100 if ours == "accuracy" else value
    return values
