"""Cases made of curves, for the tests of the rules. All noise is drawn from a fixed seed."""

from collections.abc import Callable, Sequence

import numpy as np

from unplateau.diagnosis.case import Case
from unplateau.runs.foreign_logs.training_log import LogFacts, LogPoint, TrainingLog
from unplateau.runs.record import Measurement

MARKET = LogFacts(num_identities=751, feature_dim=2048, initial_std=0.01, margin=0.3, max_epochs=90)
Curve = Callable[[np.ndarray], np.ndarray] | Sequence[float]


def make_case(facts: LogFacts = MARKET, *, epochs: range = range(1, 31), symptoms: tuple[str, ...] = (), measurements=(),
              **curves: Curve) -> Case:  # fmt: skip
    """A case whose series are given as functions of the epoch, or as values."""
    x = np.array(list(epochs), dtype=float)
    columns = {name: np.asarray(curve(x) if callable(curve) else curve, dtype=float) for name, curve in curves.items()}
    points = tuple(
        LogPoint(int(epoch), None, {name: float(values[place]) for name, values in columns.items() if place < len(values)})
        for place, epoch in enumerate(x)
    )
    return Case(TrainingLog("made", "made", points, facts), facts, tuple(measurements), symptoms)


def flat(level: float, noise: float = 0.0, *, seed: int = 0) -> Curve:
    return lambda x: level + noise * np.random.default_rng(seed).standard_normal(len(x))


def falling(start: float, end: float, scale: float = 8.0, noise: float = 0.01, *, seed: int = 1) -> Curve:
    def curve(x: np.ndarray) -> np.ndarray:
        return end + (start - end) * np.exp(-(x - x[0]) / scale) + noise * np.random.default_rng(seed).standard_normal(len(x))

    return curve


def stalled(**more) -> Case:
    """The run that was asked about: 751 identities, CE 6.71-6.73 and triplet 2.7-2.9 from epoch 3 to 29, rate 0.00035."""
    generator = np.random.default_rng(0)
    facts = more.pop("facts", LogFacts(num_identities=751, margin=0.3, batch_size=16, max_epochs=90))
    return make_case(
        facts, epochs=range(3, 30), cross_entropy=generator.uniform(6.71, 6.73, 27), triplet=generator.uniform(2.7, 2.9, 27),
        learning_rate=flat(0.00035), **more,
    )  # fmt: skip


def healthy(**more) -> Case:
    """A run that learns as published recipes do."""
    curves = {
        "cross_entropy": falling(6.72, 1.2), "triplet": falling(2.8, 0.15), "accuracy": falling(0.0, 0.95, noise=0.005),
        "mAP": falling(0.02, 0.8, noise=0.004), "learning_rate": flat(0.00035), **more.pop("curves", {}),
    }  # fmt: skip
    return make_case(more.pop("facts", MARKET), **curves, **more)


def pair(groups: dict[str, tuple[float, float]], *, buffers: float | None = None) -> tuple[Measurement, ...]:
    """Measurements of a checkpoint pair from group -> (motion, share of tensors unchanged)."""
    rows = dict(groups)
    if buffers is not None:
        rows["buffers"] = (1 - buffers, buffers)
    return tuple(
        Measurement(name, value, group=group)
        for group, (motion, unchanged) in rows.items()
        for name, value in (("checkpoint_motion", motion), ("tensors_unchanged", unchanged), ("elements", 1000.0))
    )
