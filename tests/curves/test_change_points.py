"""Change points against curves whose pieces are known."""

import numpy as np

from unplateau.curves.change_points import change_points, last_piece


def test_noise_alone_makes_no_piece():
    generator = np.random.default_rng(0)
    split = sum(bool(change_points(generator.standard_normal(40))) for _ in range(100))
    assert split <= 5


def test_a_drop_after_a_milestone_is_found_where_it_is():
    generator = np.random.default_rng(1)
    curve = np.where(np.arange(60) < 40, 3.0, 2.0) + 0.02 * generator.standard_normal(60)
    assert change_points(curve) == (40,)


def test_a_line_that_bends_begins_its_last_piece_near_the_bend():
    generator = np.random.default_rng(2)
    curve = np.maximum(6 - 0.2 * np.arange(50), 2.0) + 0.01 * generator.standard_normal(50)
    assert abs(last_piece(curve) - 20) <= 2


def test_a_constant_curve_is_one_piece():
    assert change_points(np.full(30, 6.72)) == ()


def test_of_a_long_curve_the_end_is_looked_at():
    curve = np.concatenate([np.zeros(2000), np.ones(100)])
    assert change_points(curve) == (2000,)
