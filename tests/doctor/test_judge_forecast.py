"""What a forecast means: it fits, fits under a plan, or does not; and how long an epoch takes."""

from dataclasses import replace

import pytest

from unplateau.doctor.facts import Forecast, PlanNeed
from unplateau.doctor.judge import has_problem, judge

from .made_machines import check_of, healthy

PLANS = (
    PlanNeed("plain", "the whole batch at once", 5_000_000_000),
    PlanNeed("checkpoint", "gradient checkpointing: a third slower or more, same results", 2_000_000_000),
    PlanNeed("2", "2 micro-batches", 1_200_000_000),
)
FORECAST = Forecast(
    "a network", PLANS, outside_bytes=600_000_000, whose="a card", device="a card", seconds_a_step=0.5, steps_an_epoch=200,
    validation_seconds=20.0, num_epochs=60,
)  # fmt: skip


@pytest.mark.parametrize(
    ("has_bytes", "level", "said"),
    [
        (6e9, "ok", "about 5.6 GB at once (a card: 6.0 GB); with SOLVER.MEMORY_PLAN checkpoint 2.6 GB"),
        (4e9, "warning", "which does not fit (a card: 4.0 GB). It would train with gradient checkpointing"),
        (2e9, "warning", "It would train with 2 micro-batches: 1.8 GB"),
        (1e9, "problem", "1.8 GB with 2 micro-batches (a card: 1.0 GB): it does not fit."),
        (0, "ok", "the system does not say how much there is"),
    ],
)
def test_memory(has_bytes: float, level: str, said: str) -> None:
    machine = replace(healthy(), forecast=replace(FORECAST, has_bytes=int(has_bytes)))
    check = check_of(machine, "step memory")
    assert check.level == level and said in check.text
    assert has_problem(judge(machine)) == (level == "problem")
    if level == "warning":
        assert "SOLVER.MEMORY_PLAN" in check.fix


def test_time_is_that_of_all_epochs_too() -> None:
    check = check_of(replace(healthy(), forecast=replace(FORECAST, has_bytes=int(6e9))), "epoch time")
    assert check.text == "about 2 min (200 steps of 0.5 s, validation 20 s), measured on a card; all 60 epochs 2.0 h"


def test_a_forecast_that_failed_is_a_warning_with_its_reason() -> None:
    machine = replace(healthy(), forecast=Forecast(problem="ForecastError: it looks at values"))
    assert check_of(machine, "forecast").text == "could not be made: ForecastError: it looks at values"
    assert not has_problem(judge(machine))
