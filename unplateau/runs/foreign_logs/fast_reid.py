"""fast-reid's `metrics.json` (a JSON object a line) and `log.txt`. Its epochs count from 0; scores are in percent.

Beside a `metrics.json`, `config.yaml` and `log.txt` of the same folder are read for facts.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from unplateau.config.yaml_file import plain_tree_of
from unplateau.runs.foreign_logs.config_facts import FAST_REID_INITIAL_STD, facts_of_config, flatten
from unplateau.runs.foreign_logs.names import canonical
from unplateau.runs.foreign_logs.text_facts import TextFacts
from unplateau.runs.foreign_logs.text_lines import COUNT, MOST_COUNTED, number, text_lines
from unplateau.runs.foreign_logs.training_log import LogBuilder, LogFacts, LogPoint, TrainingLog

TRAINER = "fast-reid"
_EVENT = re.compile(rf"epoch/iter: ({COUNT})/({COUNT})\s+(.*)")
_PAIR = re.compile(r"([A-Za-z_]\w*): (\S+)")
_PERCENT = ("mAP", "rank1")
_LEFT_OUT = ("iteration", "eta_seconds", "time", "data_time", "eta")


def looks_like_metrics(lines: list[str]) -> bool:
    """Return whether these are lines of a `metrics.json`."""
    return any('"iteration"' in line and ('"total_loss"' in line or '"loss_cls"' in line) for line in lines[:50])


def looks_like_text(lines: list[str]) -> bool:
    """Return whether these are lines of a fast-reid `log.txt`."""
    return any(_EVENT.search(line) or "fastreid." in line for line in lines)


def read_metrics(path: Path) -> TrainingLog:
    """Read a `metrics.json`, with facts from the files beside it."""
    builder = LogBuilder()
    facts, config, symptoms = _facts_beside(path)
    for line in text_lines(path):
        record = _parse(line)
        if record is not None:
            epoch = _epoch_of(int(record["iteration"]), facts.iterations_per_epoch)
            builder.add(LogPoint(epoch, int(record["iteration"]), _values(record)))
        elif line.strip():
            builder.note("lines that are no whole JSON object were left out")
    if facts.iterations_per_epoch is None:
        builder.note("epochs are not known (no log.txt or config.yaml beside metrics.json); places are iterations")
    return TrainingLog(TRAINER, str(path), builder.finish(), facts, config, symptoms, tuple(builder.notes))


def read_text(path: Path) -> TrainingLog:
    """Read a `log.txt`; doubled lines count once, an evaluation belongs to the epoch whose line follows it.

    A `config.yaml` beside it is read for facts.
    """
    log = _read_lines(path)
    config = _read_yaml(path.with_name("config.yaml"))
    known = facts_of_config(config, iterations_per_epoch=log.facts.iterations_per_epoch)
    return replace(log, facts=_with_head(known.filled_from(log.facts)), config=config or log.config)


def _read_lines(path: Path) -> TrainingLog:
    builder, found = LogBuilder(), TextFacts()
    header: list[str] = []
    scores: dict[str, float] = {}
    for line in text_lines(path):
        if event := _EVENT.search(line):
            values = _values(dict(_PAIR.findall(event[3])))
            builder.add(LogPoint(int(event[1]) + 1, int(event[2]), {**values, **scores}))
            scores = {}
            if all(map(math.isfinite, values.values())):
                continue
        found.read(line)
        if line.startswith("| Dataset"):
            header = _cells(line)
        elif header and line.startswith("|") and not line.startswith("|:"):
            scores = _values(dict(zip(header, _cells(line), strict=False)))
            header = []
    builder.add_to_last(scores)
    points = builder.finish()
    per_epoch = _iterations_per_epoch(points)
    facts = found.facts(iterations_per_epoch=per_epoch).filled_from(LogFacts(iterations_per_epoch=per_epoch))
    return TrainingLog(
        TRAINER, str(path), points, facts, found.config, tuple(found.symptoms), tuple(builder.notes)
    )  # fmt: skip


def _facts_beside(path: Path) -> tuple[LogFacts, dict[str, Any], tuple[str, ...]]:
    text = path.with_name("log.txt")
    if text.is_file():
        log = read_text(text)
        return log.facts, log.config, log.symptoms
    config = _read_yaml(path.with_name("config.yaml"))
    return _with_head(facts_of_config(config)), config, ()


def _with_head(facts: LogFacts) -> LogFacts:
    return facts if facts.classifier not in (None, "Linear") else facts.filled_from(LogFacts(initial_std=FAST_REID_INITIAL_STD))


def _read_yaml(path: Path) -> dict[str, Any]:
    return flatten(plain_tree_of(path))


def _parse(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    iteration = record.get("iteration") if isinstance(record, dict) else None
    return record if isinstance(iteration, int) and abs(iteration) <= MOST_COUNTED else None


def _values(record: dict[str, Any]) -> dict[str, float]:
    values = {}
    for name, raw in record.items():
        value = number(str(raw))
        if value is not None and name not in _LEFT_OUT:
            ours = canonical(name) or name
            values[ours] = value / 100 if ours in _PERCENT else value
    return values


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _epoch_of(iteration: int, iterations_per_epoch: int | None) -> int | None:
    return None if not iterations_per_epoch else iteration // iterations_per_epoch + 1


def _iterations_per_epoch(points: tuple[LogPoint, ...]) -> int | None:
    """From the last lines of two epochs: fast-reid writes a line at each epoch's end."""
    last: dict[int, int] = {}
    for point in points:
        if point.epoch is not None and point.iteration is not None:
            last[point.epoch] = point.iteration
    ends = [iteration + 1 for epoch, iteration in sorted(last.items())]
    epochs = sorted(last)
    gaps = [(b - a) // (f - e) for a, b, e, f in zip(ends, ends[1:], epochs, epochs[1:], strict=False) if f > e]
    if gaps:
        return max(1, sorted(gaps)[len(gaps) // 2])
    return ends[0] if ends else None
