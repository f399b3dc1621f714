"""The robust slope against exact lines, outliers and simulated noise."""

import itertools

import numpy as np
import pytest

from unplateau.curves.noise import noise_of_differences, noise_of_residuals
from unplateau.curves.slope import robust_slope

from .simulated_noise import correlated_noise


def test_the_slope_is_the_median_of_all_pairs():
    generator = np.random.default_rng(0)
    x, y = np.arange(15.0), generator.standard_normal(15)
    pairs = [(y[b] - y[a]) / (x[b] - x[a]) for a, b in itertools.combinations(range(15), 2)]
    assert robust_slope(x, y).value == pytest.approx(np.median(pairs))


def test_two_outliers_do_not_turn_the_slope():
    y = 5 - 0.1 * np.arange(20)
    y[3], y[18] = 50.0, -40.0
    assert robust_slope(np.arange(20), y).value == pytest.approx(-0.1)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("num", [15, 27])
def test_the_interval_holds_the_true_slope_about_as_often_as_it_says(num, correlation):
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        slope = robust_slope(np.arange(num), 0.02 * np.arange(num) + correlated_noise(generator, num, correlation, 0.1))
        held += slope.low <= 0.02 <= slope.high
    assert held / 200 >= 0.9


def test_three_points_have_no_interval():
    slope = robust_slope([1, 2, 3], [3.0, 2.0, 1.0])
    assert (slope.low, slope.high) == (-np.inf, np.inf)


def test_a_million_points_are_averaged_before_pairs_are_made():
    slope = robust_slope(np.arange(10**6), 1e-6 * np.arange(10**6))
    assert slope.value == pytest.approx(1e-6)


def test_noise_is_measured_whatever_the_trend():
    generator = np.random.default_rng(2)
    trend = 5 * np.exp(-np.arange(300) / 60)
    assert noise_of_differences(trend + 0.05 * generator.standard_normal(300)) == pytest.approx(0.05, rel=0.2)


def test_correlated_residuals_widen_by_their_inflation():
    generator = np.random.default_rng(3)
    noise = noise_of_residuals(correlated_noise(generator, 3000, 0.5, 1.0))
    assert noise.std == pytest.approx(1.0, rel=0.1)
    assert noise.inflation == pytest.approx(3.0, rel=0.2)
