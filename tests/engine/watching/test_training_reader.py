"""A watch keeps its share of the time that is trained; a pause in between gives it nothing."""

import math

import pytest
import torch
from torch import nn

from unplateau.engine.watching import training_reader
from unplateau.engine.watching.training_reader import FIRST_STEPS, TrainingReader


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


def _watched(monkeypatch: pytest.MonkeyPatch, pause: float) -> TrainingReader:
    """Steps of 10 ms each, the first of them looked at; then a pause before one more."""
    clock = Clock()
    monkeypatch.setattr(training_reader, "time", clock)
    model = nn.Linear(2, 2)
    reader = TrainingReader(model, [torch.optim.SGD(model.parameters(), lr=0.1)], every=1)
    reader.open()
    for step in range(FIRST_STEPS + 20):
        clock.now += pause if step == FIRST_STEPS + 10 else 0.01
        reader.step({"total": 1.0})
    return reader


def test_time_passes_with_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = _watched(monkeypatch, pause=0.01)
    reader.book(0.26)  # as long as all steps together
    assert reader.share_of_time == pytest.approx(1.0)
    assert reader.is_over_budget


def test_a_pause_of_hours_counts_as_one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = _watched(monkeypatch, pause=7200.0)
    reader.book(1.0)
    assert reader.share_of_time == pytest.approx(1 / 60.25, rel=1e-3)
    assert reader.is_over_budget, "a second is more than half a per cent of a minute, and less of two hours"


def test_the_rates_of_the_updates_are_remembered() -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD([{"params": [model.weight], "lr": 0.1}, {"params": [model.bias], "lr": 1.0}])
    reader = TrainingReader(model, [optimizer], every=1000)
    reader.open()
    for factor in (1.0, 30.0, 2.0):
        optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = 0.1 * factor, factor
        optimizer.step()
        reader.step({"total": 1.0})
    found = {m.name: m.value for m in reader.measurements() if m.name.startswith("rate_")}
    assert found == {
        "rate_highest": pytest.approx(3.0), "rate_mean": pytest.approx(11.0), "rate_at_zero": 0.0, "rate_valleys": 0.0
    }  # fmt: skip


def _rates_seen(rates: list[float]) -> dict[str, float | None]:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    reader = TrainingReader(model, [optimizer], every=1000)
    reader.open()
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        reader.step({"total": 1.0})
    return {m.name: m.value for m in reader.measurements()}


def test_a_rate_that_swings_has_valleys_and_a_warm_up_with_drops_has_none() -> None:
    swings = [1.0 + math.cos(step / 3) for step in range(60)]  # three times down and up again
    assert _rates_seen(swings)["rate_valleys"] == 3
    planned = [0.01 * step for step in range(20)] + [0.2] * 20 + [0.02] * 20
    assert _rates_seen(planned)["rate_valleys"] == 0
    assert _rates_seen([1.0, *planned])["rate_valleys"] == 1, "the rate before the warm-up counts as a fall"


def test_slow_falls_and_rises_count_as_much_as_fast_ones() -> None:
    down = [0.999**step for step in range(300)]
    assert _rates_seen(down + down[::-1])["rate_valleys"] == 1


def test_updates_at_a_rate_of_zero_are_counted() -> None:
    assert _rates_seen([0.0, 0.0, 0.0, 1.0])["rate_at_zero"] == 0.75


def test_steps_after_which_batch_normalisation_is_in_evaluation_mode_are_counted() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.BatchNorm1d(2), nn.BatchNorm1d(2))
    reader = TrainingReader(model, [torch.optim.SGD(model.parameters(), lr=0.1)], every=1000)
    reader.open()
    for mode in (True, True, False, True):
        model.train(mode)
        reader.step({"total": 1.0})
    model[1].eval()  # one of three is not most
    reader.step({"total": 1.0})
    (share,) = (m.value for m in reader.measurements() if m.name == "steps_in_evaluation_mode")
    assert share == pytest.approx(1 / 5)


def test_a_network_without_batch_normalisation_has_no_mode_to_count() -> None:
    model = nn.Linear(2, 2)
    reader = TrainingReader(model, [torch.optim.SGD(model.parameters(), lr=0.1)], every=1000)
    reader.open()
    reader.step({"total": 1.0})
    assert "steps_in_evaluation_mode" not in {m.name for m in reader.measurements()}
