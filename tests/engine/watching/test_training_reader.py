"""A watch keeps its share of the time that is trained; a pause in between gives it nothing."""

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
    assert found == {"rate_highest": pytest.approx(3.0), "rate_mean": pytest.approx(11.0)}
