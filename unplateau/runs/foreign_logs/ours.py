"""Our own run folders, as a training log like any other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unplateau.config.yaml_file import plain_tree_of
from unplateau.runs.foreign_logs.config_facts import facts_of_config, flatten
from unplateau.runs.foreign_logs.symptoms import symptoms_in
from unplateau.runs.foreign_logs.text_lines import MOST_COUNTED, text_lines
from unplateau.runs.foreign_logs.training_log import LogFacts, LogPoint, TrainingLog
from unplateau.runs.reader import RunRecord, read_run
from unplateau.runs.record import EpochRecord

TRAINER = "unplateau"


def read(path: Path) -> TrainingLog:
    """Read a run folder, or its `metrics.jsonl`.

    Raises:
        RecordError: there is no run.
    """
    record = read_run(path if path.is_dir() else path.parent)
    points = tuple(_point(epoch) for epoch in record.epochs)
    config = _config(record.folder.config)
    return TrainingLog(TRAINER, str(record.folder.path), points, facts_of(record, config), config, _symptoms(record.folder.log))


def facts_of(record: RunRecord, config: Mapping[str, Any]) -> LogFacts:
    """Return what a run's records and its configuration, by dotted keys, say about the training."""
    per_epoch = _steps_per_epoch(record.epochs)
    return _facts_of_info(record).filled_from(facts_of_config(config, iterations_per_epoch=per_epoch))


def _point(epoch: EpochRecord) -> LogPoint:
    losses = {name: _number(value) for name, value in epoch.losses.items()}
    values = {**{k: _number(v) for k, v in epoch.measurements.items()}, **losses, "total": _number(epoch.total_loss)}
    values["learning_rate"] = _number(epoch.learning_rate)
    values["skipped_steps"] = float(epoch.skipped_steps)
    if epoch.accuracy is not None:
        values["accuracy"] = epoch.accuracy
    if epoch.validation is not None:
        values["mAP"] = epoch.validation.mAP
        values["rank1"] = epoch.validation.cmc.get("1", math.nan)
    return LogPoint(epoch.epoch, epoch.steps, values)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)  # NaN is written as null


def _facts_of_info(record: RunRecord) -> LogFacts:
    data, model = _section(record.info, "data"), _section(record.info, "model")
    scored = [epoch.validation for epoch in record.epochs if epoch.validation is not None]
    return LogFacts(
        num_identities=_positive(data.get("train_identities")),
        num_images=_positive(data.get("train_images")),
        feature_dim=_positive(model.get("feature_dim")),
        iterations_per_epoch=_steps_per_epoch(record.epochs),
        chance_map=scored[0].chance_mAP if scored else None,
    )


def _section(info: dict[str, Any], name: str) -> dict[str, Any]:
    found = info.get(name)
    return found if isinstance(found, dict) else {}


def _positive(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 < value <= MOST_COUNTED else None


def _steps_per_epoch(epochs: tuple[EpochRecord, ...]) -> int | None:
    return round(epochs[-1].steps / epochs[-1].epoch) if epochs and epochs[-1].epoch else None


def _config(path: Path) -> dict[str, Any]:
    try:
        return flatten(plain_tree_of(path))
    except OSError:
        return {}


def _symptoms(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    return tuple(dict.fromkeys(code for line in text_lines(path) for code in symptoms_in(line)))
