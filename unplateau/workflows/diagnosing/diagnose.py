"""Gathers what is known of a training (log, checkpoints, facts, symptoms) into a case, and has it diagnosed.

Torch is imported only where checkpoints are read. Writing solutions: `solve`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unplateau.base.errors import RecordError, UsageError
from unplateau.base.files import read_json_lines
from unplateau.diagnosis.case import Case
from unplateau.runs.foreign_logs.read import read_log
from unplateau.runs.foreign_logs.symptoms import symptoms_in
from unplateau.runs.foreign_logs.training_log import LogFacts, TrainingLog
from unplateau.runs.layout import RunFolder
from unplateau.runs.record import Measurement, from_plain

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sources:
    """Where to look."""

    log_file: Path | None = None
    """A log of any trainer, or a run folder."""
    checkpoints: tuple[Path, ...] = ()
    """None, or two of one run."""
    symptoms: Sequence[str] = ()
    """What a person saw, in their own words."""
    facts: LogFacts = LogFacts()
    """What a person knows; wins over what the log says."""
    columns: Mapping[str, str] = field(default_factory=dict)


def gather(sources: Sources) -> Case:
    """Read every source and return the case.

    Raises:
        UsageError: there is nothing to read, or not two checkpoints.
        RecordError, WeightsError: a file that cannot be used.
    """
    log = None if sources.log_file is None else read_log(sources.log_file, sources.columns)
    facts = sources.facts if log is None else sources.facts.filled_from(log.facts)
    measurements = (*compare_checkpoints(sources.checkpoints), *_probed(sources.log_file))
    return Case(log, facts, measurements, _symptoms(sources.symptoms, log))


def compare_checkpoints(paths: Sequence[Path]) -> tuple[Measurement, ...]:
    """Return what changed between two checkpoints; nothing for no paths.

    Raises:
        UsageError: not two different files, or two of one epoch.
        WeightsError: a file that holds other than plain tensors, or two that are no states of one network.
    """
    if not paths:
        return ()
    if len(paths) != 2 or paths[0].resolve() == paths[1].resolve():
        raise UsageError(
            "--checkpoints takes two different files of one run, such as --checkpoints model_0003.pth model_0007.pth."
        )
    from unplateau.base.errors import WeightsError
    from unplateau.probes.checkpoint_pair import checkpoint_pair, read_checkpoint

    measurements = checkpoint_pair(read_checkpoint(paths[0]), read_checkpoint(paths[1]))
    if not any(measurement.name == "elements" and measurement.group == "" for measurement in measurements):
        raise WeightsError(f"{paths[0]} and {paths[1]} have no tensor in common: they are not two states of one network.")
    if all(measurement.value == 0 for measurement in measurements if measurement.name == "checkpoint_motion"):
        _require_two_epochs(paths)
    return measurements


def _require_two_epochs(paths: Sequence[Path]) -> None:
    """Refuse equal weights where that is no news, such as a best model that is the final one too."""
    from unplateau.probes.checkpoint_pair import epoch_of

    epochs = {epoch_of(path) for path in paths}
    if len(epochs) == 1 and None not in epochs:
        raise UsageError(
            f"--checkpoints: {paths[0]} and {paths[1]} are both of epoch {epochs.pop()}, so their weights are equal in a healthy "
            "run too. Give two of different epochs, such as two files of a run's checkpoints/."
        )


def _symptoms(texts: Sequence[str], log: TrainingLog | None) -> tuple[str, ...]:
    spoken = [code for text in texts for code in symptoms_in(text)]
    return tuple(dict.fromkeys([*spoken, *(log.symptoms if log else ())]))


def _probed(path: Path | None) -> tuple[Measurement, ...]:
    """What probes measured in a run folder of ours."""
    if path is None or not path.is_dir():
        return ()
    lines = [line for line in read_json_lines(RunFolder(path).probes) if "name" in line and "value" in line]
    return tuple(found for line in lines if (found := _measurement(line, path)) is not None)


def _measurement(line: Mapping[str, Any], path: Path) -> Measurement | None:
    try:
        return from_plain(Measurement, dict(line))
    except RecordError as problem:
        _log.warning("%s: a damaged line is left out (%s).", RunFolder(path).probes, problem)
        return None
