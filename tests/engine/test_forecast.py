"""The memory of a step, foretold on tensors without content, beside what is alive when the step is really done."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from unplateau.engine.forecast import ForecastError, forecast_memory, live_peak
from unplateau.engine.live_memory import LiveMemory
from unplateau.engine.memory_plan import StepMemory, ladder, plan_named
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import train_step
from unplateau.testing.tiny_problem import tiny_config, tiny_parts, tiny_problem

SIZE = (64, 32)


def _parts(name: str = "unplateau.models.tiny:build_tiny_backbone", batch_size: int = 16, **solver: object) -> Parts:
    config = tiny_config(
        MODEL={"BACKBONE": {"NAME": name}}, INPUT={"SIZE_TRAIN": SIZE, "SIZE_TEST": SIZE},
        SOLVER={"IMS_PER_BATCH": batch_size, **solver},
    )  # fmt: skip
    problem = tiny_problem()
    problem = replace(problem, images_NCHW=nn.functional.interpolate(problem.images_NCHW, size=SIZE))
    parts = tiny_parts(problem, config)
    parts.model.train()
    return parts


@pytest.mark.parametrize("solver", [{}, {"OPT": "SGD", "MOMENTUM": 0.9}, {"AMP": {"ENABLED": True, "DTYPE": "bf16"}}])
def test_what_is_foretold_is_what_is_alive_in_the_second_step(solver: dict[str, object]) -> None:
    for plan in ladder(16)[:3]:
        parts = _parts(**solver)
        batch = next(iter(parts.train_loader.epoch(1)))
        before = {name: value.clone() for name, value in parts.model.state_dict().items()}
        [found] = forecast_memory(parts, batch, [plan])
        assert all(torch.equal(before[name], value) for name, value in parts.model.state_dict().items())
        parts = replace(parts, memory=StepMemory(plan))
        with LiveMemory([*parts.model.parameters(), *parts.model.buffers(), batch.images_BCHW]) as live:
            train_step(parts, batch)
            live.begin_peak()
            train_step(parts, batch)
        assert found.peak_bytes == pytest.approx(live.peak_bytes, rel=0.05), plan.name


def test_of_a_training_that_has_begun_the_optimisers_state_is_counted_once() -> None:
    parts = _parts()
    batch = next(iter(parts.train_loader.epoch(1)))
    fresh = live_peak(parts, batch)
    assert live_peak(parts, batch) == pytest.approx(fresh, rel=0.02)


def test_a_larger_batch_takes_more_by_its_activations_alone() -> None:
    peaks = []
    for batch_size in (8, 16, 32):
        parts = _parts(batch_size=batch_size)
        [found] = forecast_memory(parts, next(iter(parts.train_loader.epoch(1))), [plan_named("plain")])
        peaks.append(found.peak_bytes)
    assert peaks[2] - peaks[1] == pytest.approx(2 * (peaks[1] - peaks[0]), rel=0.1)


class _LooksAtValues(nn.Module):
    num_features = 3

    def forward(self, images: Tensor) -> Tensor:
        return images if float(images.detach().sum()) > 0 else images * 2


def backbone_that_looks_at_values() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 3, 1), _LooksAtValues())


def test_a_network_that_looks_at_values_is_said_to_be_one() -> None:
    parts = _parts("tests.engine.test_forecast:backbone_that_looks_at_values")
    with pytest.raises(ForecastError, match="cannot be run on tensors without content"):
        forecast_memory(parts, next(iter(parts.train_loader.epoch(1))), [plan_named("plain")])


def test_live_memory_counts_each_storage_once_and_lets_go_of_it() -> None:
    with LiveMemory() as live:
        whole = torch.zeros(1000)
        views = [whole[:500], whole.view(10, 100), whole.detach()]
        assert live.live_bytes == 4000
        more = torch.ones(500)
        del whole, views
        assert (live.live_bytes, live.peak_bytes) == (2000, 6000)
        live.begin_peak()
        assert live.peak_bytes == 2000
        del more
    assert live.live_bytes == 0
