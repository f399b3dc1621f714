import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unplateau.config.schema import Config
from unplateau.optim.schedules import Schedule

GOLDEN = Path(__file__).with_name("golden_schedules.txt")


def schedule(steps_per_epoch=10, **solver):
    return Schedule.from_config(Config.model_validate({"SOLVER": solver}), steps_per_epoch)


STEPPED = {"BASE_LR": 1e-3, "MAX_EPOCH": 12, "STEPS": (4, 8), "GAMMA": 0.1, "WARMUP_ITERS": 20, "WARMUP_FACTOR": 0.1}
COSINE = {**STEPPED, "SCHED": "CosineAnnealingLR", "ETA_MIN_LR": 1e-6, "DELAY_EPOCHS": 3}

schedules = st.builds(
    schedule,
    steps_per_epoch=st.integers(1, 40),
    MAX_EPOCH=st.integers(1, 60),
    SCHED=st.sampled_from(["MultiStepLR", "CosineAnnealingLR"]),
    STEPS=st.lists(st.integers(1, 70), max_size=4, unique=True).map(lambda steps: tuple(sorted(steps))),
    WARMUP_ITERS=st.integers(0, 300),
    WARMUP_FACTOR=st.floats(0, 1),
    WARMUP_METHOD=st.sampled_from(["linear", "constant"]),
    DELAY_EPOCHS=st.integers(0, 20),
)


def golden_text():
    lines = []
    for title, settings in (("MultiStepLR", STEPPED), ("CosineAnnealingLR", COSINE)):
        one = schedule(**settings)
        lines += [f"{title} {step:3d} {one.rate_at(step):.6e} {one.phase(step)}" for step in range(0, one.total_steps + 1, 4)]
    return "\n".join(lines) + "\n"


def test_whole_schedules_are_those_of_the_golden_file():
    assert golden_text() == GOLDEN.read_text(encoding="utf-8")


def test_milestones_are_absolute_epochs_even_after_warm_up():
    one = schedule(**STEPPED)
    assert [one.rate_at(step) for step in (20, 39, 40, 79, 80, 119)] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5])


def test_warm_up_starts_at_its_factor_and_reaches_the_peak():
    assert schedule(**STEPPED).rate_at(0) == pytest.approx(1e-4)
    assert schedule(**STEPPED).rate_at(10) == pytest.approx(5.5e-4)
    constant = schedule(**STEPPED, WARMUP_METHOD="constant")
    assert [constant.rate_at(step) for step in (0, 19, 20)] == pytest.approx([1e-4, 1e-4, 1e-3])


def test_the_cosine_starts_after_its_delay_and_ends_at_the_final_rate():
    one = schedule(**COSINE)
    middle = (30 + 120) // 2
    assert [one.rate_at(step) for step in (20, 30, middle, 120, 500)] == pytest.approx(
        [1e-3, 1e-3, (1e-3 + 1e-6) / 2, 1e-6, 1e-6]
    )


def test_drops_ahead_are_counted_in_epochs_and_only_those_the_run_reaches():
    one = schedule(**{**STEPPED, "STEPS": (4, 8, 12, 30)})
    assert one.drops_ahead(0) == (4, 8)
    assert one.drops_ahead(40) == (4, 8)  # the next update meets it
    assert one.drops_ahead(41) == (8,)
    assert one.drops_ahead(81) == ()
    assert schedule(**COSINE).drops_ahead(0) == ()


def test_taking_a_drop_early_moves_the_later_ones_with_it():
    taken = schedule(**STEPPED).take_next_drop(30)
    assert taken.rate_at(29) == pytest.approx(1e-3)
    assert taken.rate_at(30) == pytest.approx(1e-4)
    assert taken.drops_ahead(31) == (7,)
    again = taken.take_next_drop(50)
    assert again.rate_at(50) == pytest.approx(1e-5) and again.drops_ahead(51) == ()
    assert again.take_next_drop(60) == again


def test_phases_are_told_in_order():
    one = schedule(**STEPPED)
    assert [one.phase(step) for step in (0, 19, 20, 79, 81)] == [
        "warm-up", "warm-up", "before drop", "before drop", "after last drop",
    ]  # fmt: skip
    assert schedule(**COSINE).phase(50) == "cosine"


@given(one=schedules, step=st.integers(0, 4000))
def test_rates_stay_between_nothing_and_the_peak(one, step):
    assert 0 <= one.rate_at(step) <= one.base_rate * (1 + 1e-12) + 1e-7


@given(one=schedules, step=st.integers(0, 3000))
def test_after_warm_up_the_rate_never_rises(one, step):
    start = one.warmup_steps + step
    assert one.rate_at(start + 1) <= one.rate_at(start) * (1 + 1e-12) or one.base_rate < one.final_rate


@given(one=schedules, steps=st.lists(st.integers(0, 2400), max_size=4).map(sorted))
def test_drops_taken_survive_a_checkpoint(one, steps):
    changed = one
    for step in steps:
        changed = changed.take_next_drop(step)
    assert one.restore(changed.to_plain()) == changed


@given(one=schedules, step=st.integers(0, 2400))
def test_taking_a_drop_is_never_later_than_planned_and_changes_no_past_rate(one, step):
    taken = one.take_next_drop(step)
    assert all(new <= old for new, old in zip(taken.milestone_steps, one.milestone_steps, strict=True))
    assert all(taken.rate_at(past) == one.rate_at(past) for past in range(max(0, step - 50), step))


def test_the_rate_is_written_into_every_group_by_its_factor():
    weight = [torch.nn.Parameter(torch.zeros(1)) for _ in range(3)]
    main = torch.optim.SGD([{"params": weight[:1], "factor": 1.0}, {"params": weight[1:2], "factor": 10.0}], lr=1.0)
    centers = torch.optim.SGD([{"params": weight[2:], "fixed_lr": 0.5}], lr=0.5)
    rate = schedule(**STEPPED).apply((main, centers), 50)
    assert rate == pytest.approx(1e-4)
    assert [group["lr"] for group in main.param_groups] == pytest.approx([1e-4, 1e-3])
    assert centers.param_groups[0]["lr"] == 0.5


def test_the_cosine_is_that_of_the_formula():
    one = schedule(**{**COSINE, "WARMUP_ITERS": 0, "DELAY_EPOCHS": 0})
    for step in range(0, 121, 7):
        assert one.rate_at(step) == pytest.approx(1e-6 + (1e-3 - 1e-6) * (1 + math.cos(math.pi * step / 120)) / 2)
