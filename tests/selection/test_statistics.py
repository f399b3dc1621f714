"""Intervals cover what they claim, equal runs do not win, and the epoch is not chosen on what it is judged by."""

import numpy as np
import pytest
from scipy.stats import t as student

from unplateau.curves.student import t_quantile
from unplateau.selection.statistics import Resampling, ValidationCurve, compare, holm, honest_values

IDENTITIES, QUERIES_EACH = 40, 3
PERSONS_Q = np.repeat(np.arange(IDENTITIES), QUERIES_EACH)


def _average_precision(rng: np.random.Generator, persons_Q: np.ndarray, *, shift: float = 0.0) -> np.ndarray:
    """A made AP a query: a person's own difficulty, and noise of the query."""
    difficulty_I = rng.normal(0.0, 0.15, persons_Q.max() + 1)
    return shift + 0.5 + difficulty_I[persons_Q] + rng.normal(0.0, 0.1, len(persons_Q))


@pytest.mark.parametrize("freedom", [1, 2, 3, 5, 10, 40, 500])
def test_quantiles_of_students_t_are_the_exact_ones(freedom: int) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(student.ppf(0.975, freedom), rel=0.005)
    assert t_quantile(0.025, freedom) == pytest.approx(-student.ppf(0.975, freedom), rel=0.005)


@pytest.mark.parametrize("identities", [10, 40])
def test_the_interval_of_a_difference_covers_the_truth_as_often_as_it_claims(identities: int) -> None:
    rng, covered, trials, truth = np.random.default_rng(1), 0, 600, 0.03
    persons_Q = np.repeat(np.arange(identities), rng.integers(1, 6, identities))
    resampling = Resampling(persons_Q, replicates=800)
    for _ in range(trials):
        apart_Q = _average_precision(rng, persons_Q, shift=truth - 0.5)
        estimate = resampling.estimate(apart_Q)
        covered += estimate.low <= truth <= estimate.high
    assert 0.93 <= covered / trials <= 0.985, covered / trials


def test_drawing_queries_instead_of_identities_would_cover_too_little() -> None:
    rng, covered, trials = np.random.default_rng(2), 0, 300
    persons_Q = np.repeat(np.arange(IDENTITIES), 6)
    as_if_independent = Resampling(np.arange(len(persons_Q)), replicates=500)
    for _ in range(trials):
        estimate = as_if_independent.estimate(_average_precision(rng, persons_Q, shift=-0.5))
        covered += estimate.low <= 0 <= estimate.high
    assert covered / trials < 0.85


def test_an_estimate_is_the_mean_over_queries_and_a_slow_bootstrap_gives_its_interval() -> None:
    rng = np.random.default_rng(3)
    values_Q = _average_precision(rng, PERSONS_Q)
    estimate = Resampling(PERSONS_Q, replicates=4000).estimate(values_Q)
    assert estimate.value == pytest.approx(values_Q.mean())
    means = []
    for _ in range(4000):
        drawn = rng.integers(0, IDENTITIES, IDENTITIES)
        means.append(np.concatenate([values_Q[np.equal(PERSONS_Q, person)] for person in drawn]).mean())
    factor = np.sqrt(IDENTITIES / (IDENTITIES - 1)) * student.ppf(0.975, IDENTITIES - 1) / 1.959964
    low, high = estimate.value + factor * (np.quantile(means, [0.025, 0.975]) - estimate.value)
    assert estimate.low == pytest.approx(low, abs=0.006)
    assert estimate.high == pytest.approx(high, abs=0.006)


def test_the_p_value_agrees_with_the_interval() -> None:
    rng = np.random.default_rng(4)
    for shift in np.linspace(-0.1, 0.1, 21):
        resampling = Resampling(PERSONS_Q, replicates=1999)
        values_Q = _average_precision(rng, PERSONS_Q, shift=shift - 0.5)
        assert (resampling.p_value(values_Q) > 0.05) == resampling.estimate(values_Q).includes_zero or (
            abs(resampling.p_value(values_Q) - 0.05) < 0.003
        )


def test_holm_matches_its_definition() -> None:
    assert holm([]) == []
    assert holm([0.2]) == [0.2]
    assert holm([0.6, 0.001, 0.02, 0.9]) == pytest.approx([1.0, 0.004, 0.06, 1.0])


def test_a_run_compared_with_itself_differs_by_nothing() -> None:
    values_Q = _average_precision(np.random.default_rng(5), PERSONS_Q)
    (difference,) = compare({"a": values_Q, "b": values_Q.copy()}, PERSONS_Q, [("a", "b")])
    assert (difference.estimate.value, difference.estimate.low, difference.estimate.high) == (0, 0, 0)
    assert difference.p_value == 1.0 and not difference.is_sure


def test_with_too_few_identities_nothing_is_sure() -> None:
    persons_Q = np.array([1, 1, 2, 2])
    (difference,) = compare({"a": np.full(4, 0.9), "b": np.full(4, 0.1)}, persons_Q, [("a", "b")])
    assert difference.estimate.value == pytest.approx(0.8)
    assert np.isinf(difference.estimate.high) and not difference.is_sure


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
