"""Bursts are paired image by image, only terms that mean the same are compared, and intervals cover what they claim."""

import numpy as np
import pytest

from unplateau.solutions.bursts import (
    BurstCurve,
    BurstResult,
    Interval,
    comparable_terms,
    paired_terms,
    rerank,
    sees_same_images,
    starts_elsewhere,
)

CE, TRIPLET = "cross_entropy", "triplet"


def _curve(values: np.ndarray, images: int = 16) -> BurstCurve:
    return BurstCurve(images, {CE: tuple(values.tolist())})


def test_a_shift_common_to_both_cancels() -> None:
    hard_batches = np.random.default_rng(0).normal(5, 2, 40)
    (term,) = paired_terms(_curve(hard_batches), _curve(hard_batches - 0.3), [CE])
    assert term.level.value == pytest.approx(-0.3)
    assert term.level.high - term.level.low == pytest.approx(0, abs=1e-9)
    assert term.slope.value == pytest.approx(0, abs=1e-9)


def test_half_the_batch_is_paired_by_images_not_by_steps() -> None:
    control = np.arange(40.0)
    halves = np.repeat(control, 2) + np.tile([1.0, -1.0], 40) - 0.5
    (term,) = paired_terms(_curve(control, 16), _curve(halves, 8), [CE])
    assert term.level.value == pytest.approx(-0.5)


def test_a_larger_batch_is_paired_with_several_steps_of_the_control() -> None:
    control = np.arange(40.0)
    (term,) = paired_terms(_curve(control, 16), _curve(control.reshape(-1, 2).mean(axis=1) + 0.25, 32), [CE])
    assert term.level.value == pytest.approx(0.25)


def test_the_slope_of_the_difference_is_told_in_a_thousand_images() -> None:
    steps = np.arange(50.0)
    (term,) = paired_terms(_curve(np.zeros(50)), _curve(-0.01 * steps), [CE])
    assert term.slope.value == pytest.approx(-0.01 / 16 * 1000)


def test_the_interval_of_the_level_covers_the_truth() -> None:
    rng, covered = np.random.default_rng(1), 0
    for _ in range(400):
        (term,) = paired_terms(_curve(np.zeros(60)), _curve(rng.normal(0.1, 1.0, 60)), [CE])
        covered += term.level.low <= 0.1 <= term.level.high
    assert covered / 400 >= 0.93


def test_too_short_a_burst_gives_no_difference() -> None:
    assert paired_terms(_curve(np.zeros(3)), _curve(np.zeros(3)), [CE]) == ()


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        ({"SOLVER.BASE_LR": 0.1}, (CE, TRIPLET)),
        ({"MODEL.LOSSES.CE.SCALE": 0.3, "MODEL.LOSSES.TRI.SCALE": 2.0}, (CE, TRIPLET)),
        ({"SOLVER.IMS_PER_BATCH": 8}, (CE,)),
        ({"MODEL.LOSSES.CE.EPSILON": 0.1}, (TRIPLET,)),
        ({"MODEL.HEADS.CLS_LAYER": "Linear"}, ()),
        ({"INPUT.REA.ENABLED": True}, ()),
        ({"DATALOADER.NUM_INSTANCE": 2}, ()),
    ],
)
def test_only_terms_that_mean_the_same_are_compared(delta: dict[str, object], expected: tuple[str, ...]) -> None:
    assert comparable_terms(delta, [CE, TRIPLET]) == expected


def test_what_starts_elsewhere_cannot_be_tried() -> None:
    assert starts_elsewhere({"MODEL.BACKBONE.PRETRAIN": True}) and not starts_elsewhere({"SOLVER.BASE_LR": 1.0})
    assert sees_same_images({"SOLVER.IMS_PER_BATCH": 8}) and not sees_same_images({"INPUT.CJ.ENABLED": True})


def _result(
    name: str, gain: float | None, p_adjusted: float = 0.01, *, was_tried: bool = True, diverged: bool = False
) -> BurstResult:
    interval = None if gain is None else Interval(gain, gain - 0.01, gain + 0.01)
    return BurstResult(name, was_tried, map_gain=interval, p_adjusted=p_adjusted, diverged=diverged)


def test_what_proved_better_comes_first_what_proved_worse_last_and_the_rest_keeps_its_order() -> None:
    results = [
        _result("diverged", None, diverged=True),
        _result("first", 0.05, 0.6),
        _result("untried", None, was_tried=False),
        _result("worse", -0.03),
        _result("good", 0.02),
        _result("second", -0.05, 0.6),
        _result("best", 0.08),
    ]
    assert [result.name for result in rerank(results)] == ["best", "good", "first", "untried", "second", "diverged", "worse"]
    assert [result.verdict for result in results[:4]] == ["worse", "not told apart", "not tried", "worse"]
