import math

import pytest

from unplateau.probes.lr_range import lr_range

from .reading import value


def descent(curvature):
    """Plain gradient descent on w^2 c / 2 from w = 1; diverges above rate 2 / c."""
    weight = [1.0]

    def step(rate):
        loss = curvature * weight[0] ** 2 / 2
        weight[0] -= rate * curvature * weight[0]
        return loss

    return step


def test_the_steepest_rate_lies_below_the_edge_of_stability_and_the_lowest_loss_near_it():
    for curvature in (1.0, 100.0):
        found = lr_range(descent(curvature), lowest=1e-6, highest=1e3, num_steps=200, smoothing=0.0)
        edge = 2 / curvature
        assert 1e-3 * edge < value(found, "rate_of_steepest_descent") < edge
        assert value(found, "rate_of_lowest_loss") < 3 * edge


def test_rates_are_evenly_spaced_on_a_logarithmic_scale():
    seen = []
    lr_range(lambda rate: seen.append(rate) or 1.0, lowest=1e-4, highest=1.0, num_steps=5)
    assert seen == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])


def test_the_sweep_ends_where_the_loss_is_no_longer_finite():
    losses = iter([3.0, 2.0, math.nan, 1.0])
    found = lr_range(lambda rate: next(losses), lowest=1e-3, highest=1.0, num_steps=4)
    assert value(found, "highest_finite_rate") == pytest.approx(1e-2)
    assert sum(m.name == "lr_range_loss" for m in found) == 2


def test_smoothing_is_free_of_bias():
    found = lr_range(lambda rate: 2.5, num_steps=10, smoothing=0.9)
    assert [m.value for m in found if m.name == "lr_range_loss"] == pytest.approx([2.5] * 10)


def test_a_loss_that_is_never_finite_gives_no_rate():
    found = lr_range(lambda rate: math.inf)
    assert value(found, "rate_of_steepest_descent") is None


def test_a_loss_that_falls_back_after_a_rate_has_thrown_it_up_is_no_descent():
    losses = [4.0, 4.0, 3.5, 3.4, 3.3, 40.0, 9.0, 8.0]  # nothing below 3.3 after it: the fall from 40 is a recovery
    steps = iter(losses)
    found = lr_range(lambda rate: next(steps), lowest=1e-4, highest=1e3, num_steps=8, smoothing=0.0)
    assert value(found, "rate_of_steepest_descent") == pytest.approx(1e-2)
