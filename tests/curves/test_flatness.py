"""Flat, improving, before a drop: on curves whose truth is known."""

import numpy as np
import pytest

from unplateau.curves.flatness import Ahead, judge_flatness

from .simulated_noise import correlated_noise

LONG = Ahead(remaining=60)


def _verdicts(make, num: int, *, ahead: Ahead = LONG, runs: int = 60) -> list[str]:
    generator = np.random.default_rng(0)
    return [judge_flatness(range(num), make(generator, num), ahead=ahead, gain_that_matters=0.2).verdict for _ in range(runs)]


def _stalled(generator: np.random.Generator, num: int) -> np.ndarray:
    return 6.72 + correlated_noise(generator, num, 0.3, 0.01)


def _slowly_learning(generator: np.random.Generator, num: int) -> np.ndarray:
    return 5 + 1.7 * np.exp(-np.arange(num) / 30) + correlated_noise(generator, num, 0.3, 0.02)


def test_noise_around_a_level_is_flat():
    assert _verdicts(_stalled, 27).count("flat") >= 54


def test_slow_learning_is_never_called_flat():
    verdicts = _verdicts(_slowly_learning, 27)
    assert set(verdicts) <= {"improving", "undecided"}
    assert verdicts.count("improving") >= 54


def test_a_flat_curve_before_a_scheduled_drop_is_no_plateau():
    verdicts = _verdicts(_stalled, 27, ahead=Ahead(remaining=10, drop_ahead=True))
    assert "flat" not in verdicts
    assert verdicts.count("before-drop") >= 54


def test_warm_up_is_never_judged():
    assert set(_verdicts(_stalled, 27, ahead=Ahead(remaining=60, in_warm_up=True))) == {"in-warm-up"}


def test_eight_noisy_points_are_not_enough_to_exclude_a_gain():
    assert _verdicts(_stalled, 8).count("flat") < 30


def test_five_points_are_too_short():
    assert judge_flatness(range(5), [1.0] * 5, ahead=LONG).verdict == "too-short"


def test_recovery_from_a_spike_is_improvement_not_a_plateau():
    curve = np.concatenate([np.full(10, 2.0), [9.0], 9 - 0.5 * np.arange(1, 11)])
    assert judge_flatness(range(21), curve, ahead=LONG).verdict == "improving"


def test_one_outlier_leaves_a_flat_curve_flat():
    curve = 6.72 + 0.01 * np.random.default_rng(4).standard_normal(27)
    curve[20] = 8.0
    assert judge_flatness(range(27), curve, ahead=LONG, gain_that_matters=0.2).verdict == "flat"


def test_a_rising_loss_is_worsening_and_a_rising_score_improving():
    curve = 0.3 + 0.01 * np.arange(20)
    assert judge_flatness(range(20), curve, ahead=LONG).verdict == "worsening"
    assert judge_flatness(range(20), curve, ahead=LONG, lower_is_better=False).verdict == "improving"


def test_a_finished_run_with_nothing_left_is_flat():
    assert judge_flatness(
        range(20), _slowly_learning(np.random.default_rng(0), 20), ahead=Ahead(0)
    ).chance_of_gain == pytest.approx(0)
