"""When the passes of a training are replayed as a graph: by the clock, by rule, asked for, refused.

Graphs are played on the CPU; a GPU records the same operations. B batch.
"""

import logging
import os
from dataclasses import replace
from typing import Any

import pytest
import torch

from unplateau.base.errors import ConfigError
from unplateau.data.loader import Batch
from unplateau.engine import graphed, step_choice, step_rule
from unplateau.engine.kernels import choose_kernels
from unplateau.engine.parts import Parts
from unplateau.engine.ranks import Ranks
from unplateau.engine.step_choice import choose_step
from unplateau.engine.step_rule import Unmeasured, step_by_rule, ways_to_time
from unplateau.engine.train_step import train_step
from unplateau.runs.step_choice import StepWay
from unplateau.testing.tiny_problem import tiny_config

from .test_graphed import CPU, CUDA, _NoRoom, parts_of, played  # noqa: F401 - a fixture for every test


def _training(monkeypatch: pytest.MonkeyPatch, backbone: str = "build_tiny_backbone", **solver: Any) -> Unmeasured:
    """A training on the CPU that believes that graphs are possible."""
    monkeypatch.setattr(step_rule, "graph_obstacle", lambda *_: "")
    parts = parts_of(SOLVER={"MAX_EPOCH": 1000, "AMP": {"ENABLED": False}, **solver})
    config = parts.config.model_copy(update={"MODEL": parts.config.MODEL.model_copy(update={
        "BACKBONE": parts.config.MODEL.BACKBONE.model_copy(update={"NAME": backbone})})})  # fmt: skip
    return Unmeasured(config, parts.device, Ranks(), parts.model, parts.losses, parts.train_loader)


PLAIN, LAID_OUT, GRAPHED = StepWay("fp32", False), StepWay("fp32", True), StepWay("fp32", True, is_graphed=True)


def test_graphs_are_tried_behind_the_others_in_the_likely_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ways_to_time(_training(monkeypatch)) == (PLAIN, LAID_OUT, GRAPHED)
    assert ways_to_time(_training(monkeypatch, CUDA_GRAPH="off")) == (PLAIN, LAID_OUT)
    assert ways_to_time(_training(monkeypatch, CHANNELS_LAST="on", CUDA_GRAPH="on")) == (GRAPHED,)
    own = "unplateau.testing.tiny_problem:tiny_backbone"
    assert ways_to_time(_training(monkeypatch, own)) == (PLAIN, LAID_OUT)  # what it does in Python is not known
    assert ways_to_time(_training(monkeypatch, own, CUDA_GRAPH="on")) == (PLAIN, LAID_OUT, GRAPHED)


@pytest.mark.parametrize(("seconds", "chosen"), [(0.5, GRAPHED), (0.95, PLAIN)])
def test_a_graph_is_chosen_where_it_is_clearly_faster(monkeypatch: pytest.MonkeyPatch, seconds: float, chosen: StepWay) -> None:
    def timed(self: Any, num_steps: int) -> float:
        for _ in range(num_steps):
            train_step(self._parts, self._batch)
        return seconds if self.timing.way.is_graphed else 1.0

    monkeypatch.setattr(step_choice._Runner, "_seconds", timed)
    choice = choose_step(_training(monkeypatch))
    assert (choice.basis, choice.way) == ("measured", chosen)
    assert [timing.problem for timing in choice.timings] == ["", "", ""]
    asked = choose_step(_training(monkeypatch, CUDA_GRAPH="on"))
    assert asked.way == GRAPHED


def test_a_graph_that_cannot_be_recorded_is_put_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphed, "_Recorder", _NoRoom)
    choice = choose_step(_training(monkeypatch))
    assert choice.timings[-1].problem == "it failed: CUDA out of memory"
    assert not choice.way.is_graphed


def test_timing_a_graph_ends_as_soon_as_it_takes_too_much_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[StepWay] = []

    def one_round(self: Any, num_steps: int) -> float:
        rounds.append(self.timing.way)
        return 1.0

    monkeypatch.setattr(step_choice._Runner, "_seconds", one_round)
    training = _training(monkeypatch)
    batch = next(iter(training.loader.epoch(1)))
    step_choice.measure_ways(training, ways_to_time(training), batch, num_steps=0)
    assert rounds.count(GRAPHED) == 2 + 2  # to be warm, and timed


def test_of_a_graph_that_is_asked_for_and_wrong_is_warned(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(graphed, "_Recorder", _NoRoom)
    with caplog.at_level(logging.WARNING):
        choice = choose_step(_training(monkeypatch, CUDA_GRAPH="on"))
    assert (choice.basis, choice.way.is_graphed) == ("measured", False)
    assert caplog.messages == [
        "SOLVER.CUDA_GRAPH is on, but of a graph: it failed: CUDA out of memory. Steps are computed without one."
    ]


def test_where_no_way_fits_while_it_is_measured_a_graph_that_is_asked_for_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def short_of_memory(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(step_choice, "look", short_of_memory)
    choice = choose_step(_training(monkeypatch, CUDA_GRAPH="on"))
    assert (choice.basis, choice.way) == ("rule", GRAPHED)


def test_a_graph_that_is_asked_for_and_cannot_be_is_not_timed_in_a_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    training = _training(monkeypatch, CUDA_GRAPH="on")
    monkeypatch.setattr(step_rule, "graph_obstacle", lambda *_: "steps are computed on cpu")
    assert ways_to_time(training) == (PLAIN, LAID_OUT)


def test_exact_kernels_leave_nothing_to_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_choice, "measure_ways", lambda *_, **__: pytest.fail("steps were measured"))
    training = _training(monkeypatch)
    exact = replace(training, config=training.config.model_copy(update={"DETERMINISTIC": True}))
    assert (choose_step(exact).basis, choose_step(exact).way) == ("rule", GRAPHED)
    monkeypatch.setattr(step_rule, "graph_obstacle", lambda *_: "steps are computed on cpu")
    assert choose_step(exact).way == LAID_OUT


def test_runs_that_are_compared_use_graphs_by_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    assert step_by_rule(_training(monkeypatch, MEASURE_STEP=False)).way == GRAPHED
    assert step_by_rule(_training(monkeypatch)).way == LAID_OUT  # a run that is too short to measure
    assert step_by_rule(_training(monkeypatch, MEASURE_STEP=False, CUDA_GRAPH="off")).way == LAID_OUT


def test_a_graph_is_refused_where_it_is_asked_for_and_cannot_be() -> None:
    parts = parts_of(SOLVER={"CUDA_GRAPH": "on"})
    training = Unmeasured(parts.config, parts.device, Ranks(), parts.model, parts.losses, parts.train_loader)
    with pytest.raises(ConfigError, match="SOLVER.CUDA_GRAPH is on, but steps are computed on cpu. Use auto or off."):
        choose_step(training)
    assert not step_by_rule(training).way.is_graphed  # who only looks at such a run is not refused


@pytest.mark.parametrize(("device", "is_exact"), [(CUDA, True), (CPU, False)])
def test_exact_kernels_are_asked_for_on_a_gpu_only(monkeypatch: pytest.MonkeyPatch, device: torch.device, is_exact: bool) -> None:
    config = tiny_config(DETERMINISTIC=True, CUDNN_BENCHMARK=True)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    before = torch.utils.deterministic.fill_uninitialized_memory
    try:
        choose_kernels(config, device)
        assert torch.are_deterministic_algorithms_enabled() == is_exact
        assert torch.backends.cudnn.benchmark != is_exact
        assert os.environ.get("CUBLAS_WORKSPACE_CONFIG") == (":4096:8" if is_exact else None)
        choose_kernels(tiny_config(), device)
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = False
        torch.utils.deterministic.fill_uninitialized_memory = before


def test_cudnn_searches_no_kernels_while_ways_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    true_step = step_choice.train_step

    def step(parts: Parts, batch: Batch) -> Any:
        seen.append(torch.backends.cudnn.benchmark)
        return true_step(parts, batch)

    monkeypatch.setattr(step_choice, "train_step", step)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    assert choose_step(_training(monkeypatch)).basis == "measured"
    assert set(seen) == {False}
    assert torch.backends.cudnn.benchmark
