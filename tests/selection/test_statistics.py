"""The epoch is not chosen on what it is judged by, and many comparisons are corrected."""

import numpy as np
import pytest

from unplateau.selection.statistics import ValidationCurve, holm, honest_values

IDENTITIES, QUERIES_EACH = 40, 3
PERSONS_Q = np.repeat(np.arange(IDENTITIES), QUERIES_EACH)


def _average_precision(rng: np.random.Generator, persons_Q: np.ndarray, *, shift: float = 0.0) -> np.ndarray:
    """A made AP a query: a person's own difficulty, and noise of the query."""
    difficulty_I = rng.normal(0.0, 0.15, persons_Q.max() + 1)
    return shift + 0.5 + difficulty_I[persons_Q] + rng.normal(0.0, 0.1, len(persons_Q))


def test_holm_matches_its_definition() -> None:
    assert holm([]) == []
    assert holm([0.2]) == [0.2]
    assert holm([0.6, 0.001, 0.02, 0.9]) == pytest.approx([1.0, 0.004, 0.06, 1.0])


def test_the_best_of_many_noisy_epochs_does_not_flatter() -> None:
    rng, honest, optimistic = np.random.default_rng(6), [], []
    for _ in range(40):
        curve = ValidationCurve(
            "run", np.arange(60), np.stack([_average_precision(rng, PERSONS_Q) for _ in range(60)]), PERSONS_Q
        )
        honest.append(honest_values(curve).mean())
        optimistic.append(curve.average_precision_EQ[curve.best_row].mean())
    assert np.mean(optimistic) > 0.53
    assert np.mean(honest) == pytest.approx(0.5, abs=0.01)


def test_a_curve_with_a_clear_best_epoch_is_judged_there() -> None:
    rng = np.random.default_rng(7)
    rows = np.stack([_average_precision(rng, PERSONS_Q, shift=shift) for shift in (0.0, 0.3, 0.1)])
    curve = ValidationCurve("run", np.array([1, 2, 3]), rows, PERSONS_Q)
    assert np.allclose(honest_values(curve), rows[1])


def test_one_person_alone_is_judged_at_the_best_epoch() -> None:
    curve = ValidationCurve("run", np.array([1, 2]), np.array([[0.2, 0.4], [0.5, 0.5]]), np.array([7, 7]))
    assert np.allclose(honest_values(curve), [0.5, 0.5])
