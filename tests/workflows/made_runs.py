"""Writes run folders as a training leaves them, without training: a configuration, a curve of average precision, a model file."""

from pathlib import Path

import numpy as np

from unplateau.config.delta import to_yaml, with_values
from unplateau.config.load import load
from unplateau.runs.layout import RunFolder
from unplateau.runs.record import EpochRecord, RetrievalMetrics, StopReason
from unplateau.runs.writer import RunWriter

IDENTITIES = 40
PERSONS_Q = np.repeat(np.arange(IDENTITIES), 3)
_DIFFICULTY_Q = np.random.default_rng(0).normal(0.0, 0.15, IDENTITIES)[PERSONS_Q]


def average_precision(seed: int, gain: float, noise: float = 0.05) -> np.ndarray:
    """What one seed reaches on each query."""
    rng = np.random.default_rng(seed)
    own_I = rng.normal(rng.normal(0, 0.005), noise, IDENTITIES)
    return (0.5 + gain + _DIFFICULTY_Q + own_I[PERSONS_Q]).clip(0, 1)


def write_run(folder: Path, *, seed: int, gain: float = 0.0, protocol: str = "held-out", **values: object) -> RunFolder:
    """Leave a finished run of three epochs; `gain` is what its recipe is worth, `values` are configuration keys."""
    place, writer = RunFolder(folder), RunWriter(RunFolder(folder))
    config = with_values(load(None).config, {"SEED": seed, "SOLVER.MAX_EPOCH": 3, "SOLVER.STEPS": [2], **values})
    writer.config(to_yaml(config))
    place.log.write_text("log\n")
    last_Q = average_precision(1000 * round(1000 * abs(gain)) + seed, gain)
    rows_EQ = np.stack([(last_Q - 0.1 * left).clip(0, 1) for left in (2, 1, 0)])
    for number, row_Q in enumerate(rows_EQ, 1):
        score = float(row_Q.mean())
        metrics = RetrievalMetrics(protocol, score, score / 2, {"1": score}, len(PERSONS_Q), 60, IDENTITIES, 0.05, "Made")
        writer.epoch(EpochRecord(number, 10 * number, 1e-3, 3.0, {"cross_entropy": 3.0}, validation=metrics, is_best=True))
    writer.average_precision(
        {
            "validation_epochs": np.arange(1, 4),
            "validation_average_precision": rows_EQ.astype(np.float32),
            "validation_person_ids": PERSONS_Q,
        }
    )
    place.best_model.write_bytes(f"{folder.name}".encode())
    writer.stop(StopReason("completed", "Training completed all epochs", epochs_trained=3, max_epochs=3), "STOPPING REASON\n")
    return place
