"""That a training whose passes are replayed is the training launched singly, and what is recorded anew or not at all.

Graphs are played on the CPU; a GPU records the same operations. B batch.
"""

import copy
import logging
import os
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unplateau.base.errors import ConfigError
from unplateau.data.loader import Batch
from unplateau.engine import graphed, step_choice, step_rule
from unplateau.engine.freezing import freeze
from unplateau.engine.graphed import GraphedNetwork, graph_obstacle
from unplateau.engine.kernels import choose_kernels
from unplateau.engine.memory_plan import CHECKPOINT, StepMemory
from unplateau.engine.memory_plan import PLAIN as PLAIN_PLAN
from unplateau.engine.parts import Parts
from unplateau.engine.ranks import Ranks
from unplateau.engine.step_choice import choose_step
from unplateau.engine.step_rule import Unmeasured, step_by_rule, ways_to_time
from unplateau.engine.train_step import forward_losses, train_step
from unplateau.runs.step_choice import StepWay
from unplateau.testing.played_graphs import PlayedRecorder
from unplateau.testing.tiny_problem import tiny_config, tiny_parts

CUDA, CPU = torch.device("cuda:0"), torch.device("cpu")
COMPARED = 2  # replays, with passes launched singly, when the passes have been recorded
SMALL = {"SIZE_TRAIN": (64, 32), "SIZE_TEST": (64, 32)}
TRAININGS: dict[str, dict[str, Any]] = {
    "tiny": {},
    "bf16": {},
    "margin classifier": {"MODEL": {"HEADS": {"CLS_LAYER": "ArcSoftmax", "SCALE": 30.0, "MARGIN": 0.3}}},
    "triplet after the neck": {"MODEL": {"HEADS": {"NECK_FEAT": "after"}}},
    "centre loss, clipped, averaged": {
        "MODEL": {"LOSSES": {"NAME": ("CrossEntropyLoss", "CenterLoss")}},
        "SOLVER": {"CLIP_GRADIENTS": {"ENABLED": True}, "EMA": {"ENABLED": True}},
    },
    "MobileNetV2": {"MODEL": {"BACKBONE": {"NAME": "mobilenetv2_050"}}, "INPUT": SMALL},
}


@pytest.fixture(autouse=True)
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphed, "_Recorder", PlayedRecorder)


def parts_of(**sections: Any) -> Parts:
    parts = tiny_parts(config=tiny_config(**sections))
    parts.model.train()
    return parts


def replayed(parts: Parts) -> tuple[Parts, GraphedNetwork]:
    network = GraphedNetwork(parts.model, parts.precision)
    return replace(parts, network=network), network


def batches(parts: Parts, number: int) -> list[Batch]:
    size = parts.config.INPUT.SIZE_TRAIN
    found = [batch for epoch in range(1, 9) for batch in parts.train_loader.epoch(epoch)][:number]
    return [replace(batch, images_BCHW=nn.functional.interpolate(batch.images_BCHW, size)) for batch in found]


def trained(parts: Parts, steps: list[Batch]) -> tuple[list[float], dict[str, Tensor]]:
    torch.manual_seed(0)
    losses = [float(train_step(parts, batch).total) for batch in steps]
    modules = {"model": parts.model, "losses": parts.losses, "scored": parts.scored_model}
    return losses, {f"{one}.{name}": value for one, module in modules.items() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("name", list(TRAININGS))
def test_a_replayed_training_is_the_one_launched_singly_to_the_bit(name: str) -> None:
    one, other = (parts_of(**TRAININGS[name]) for _ in range(2))
    if name == "bf16":
        one, other = (step_choice.computing(parts, StepWay("bf16", False)) for parts in (one, other))
    other, network = replayed(other)
    losses, state = trained(one, batches(one, 6))
    losses_then, state_then = trained(other, batches(other, 6))
    assert network._passes is not None
    assert network._passes.forward_graph.replays == COMPARED + 6
    assert losses == losses_then
    assert all(torch.equal(value, state_then[key]) for key, value in state.items())


def test_recording_leaves_no_trace() -> None:
    parts, network = replayed(parts_of())
    [batch] = batches(parts, 1)
    before, state = copy.deepcopy(parts.model.state_dict()), torch.get_rng_state()
    network.record(batch.images_BCHW, batch.person_ids_B, batch.camera_ids_B)
    assert all(torch.equal(value, before[name]) for name, value in parts.model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in parts.model.parameters())


def test_dropout_is_drawn_anew_in_every_step() -> None:
    parts = parts_of()
    parts.model.backbone = nn.Sequential(parts.model.backbone, nn.Dropout(0.5))
    [batch] = batches(parts, 1)
    parts, _ = replayed(parts)
    for optimizer in parts.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = 0.0
    losses, _ = trained(parts, [batch] * 4)
    assert len(set(losses)) == 4


def test_weights_that_are_loaded_later_are_those_that_train() -> None:
    one, other = parts_of(), parts_of(SEED=5)
    other, network = replayed(other)
    steps = batches(one, 5)
    train_step(other, steps[0])
    for source, target in ((one.model, other.model), (one.optimizers[0], other.optimizers[0])):
        target.load_state_dict(copy.deepcopy(source.state_dict()))
    assert trained(one, steps)[0] == trained(other, steps)[0]
    assert network._recordings == 1


def test_layers_that_thaw_are_recorded_once_more() -> None:
    freezing = {"MODEL": {"FREEZE_LAYERS": ("backbone",)}, "SOLVER": {"FREEZE_ITERS": 3}}
    one, other = (parts_of(**freezing) for _ in range(2))
    other, network = replayed(other)
    losses: list[list[float]] = [[], []]
    for number, parts in enumerate((one, other)):
        for step, batch in enumerate(batches(parts, 7)):
            freeze(parts.model, parts.config, step)
            losses[number].append(float(train_step(parts, batch).total))
    assert losses[0] == losses[1]
    assert network._recordings == 2


def test_fewer_images_evaluation_and_passes_without_gradient_are_computed_as_ever() -> None:
    parts, network = replayed(parts_of())
    [batch] = batches(parts, 1)
    given = {"person_ids_B": batch.person_ids_B, "camera_ids_B": batch.camera_ids_B}
    train_step(parts, batch)
    assert network._passes is not None
    few = Batch(batch.images_BCHW[:8], batch.person_ids_B[:8], batch.camera_ids_B[:8])
    train_step(parts, few)
    with torch.no_grad():
        assert network(batch.images_BCHW, **given).logits_BI is not None
    parts.model.eval()
    assert network(batch.images_BCHW, **given).logits_BI is None
    assert (network._passes.forward_graph.replays, network._recordings) == (COMPARED + 1, 1)


class _NoRoom(PlayedRecorder):
    def record(self, act: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 32.00 MiB. GPU 0 has a total capacity of 4 GiB.")


def test_without_room_for_a_graph_the_run_goes_on_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = parts_of(), parts_of()
    other, network = replayed(other)
    monkeypatch.setattr(graphed, "_Recorder", _NoRoom)
    with caplog.at_level(logging.WARNING):
        assert trained(one, batches(one, 3))[0] == trained(other, batches(other, 3))[0]
    assert caplog.messages == ["Steps cannot be computed as a CUDA graph (CUDA out of memory). They are computed as ever."]
    assert network._recordings == 1


@pytest.mark.parametrize("failures", [1, 2])
def test_short_of_memory_the_graphs_are_given_back_before_a_slower_plan_is_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failures: int
) -> None:
    (one, other), plan = (parts_of(), parts_of()), [PLAIN_PLAN, CHECKPOINT][failures - 1]
    other, network = replayed(other)
    one, other = (replace(parts, memory=StepMemory(may_step_down=True)) for parts in (one, other))
    steps = batches(one, 3)
    expected = trained(one, steps)[0]
    true_loss, calls = other.losses.forward, []

    def short_of_memory(*given: Any) -> Any:
        calls.append(given)
        if 1 < len(calls) <= 1 + failures:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return true_loss(*given)

    monkeypatch.setattr(other.losses, "forward", short_of_memory)
    with caplog.at_level(logging.WARNING):
        assert trained(other, steps)[0] == pytest.approx(expected)
    assert other.memory.plan == plan
    assert not network.holds_graphs
    assert caplog.messages[0] == "Steps cannot be computed as a CUDA graph (CUDA out of memory). They are computed as ever."


def test_without_memory_plans_too_the_graphs_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    parts, network = replayed(parts_of(SOLVER={"MEMORY_PLAN": "off"}))
    first, second = batches(parts, 2)
    train_step(parts, first)
    true_loss, calls = parts.losses.forward, []

    def short_of_memory(*given: Any) -> Any:
        calls.append(given)
        if len(calls) != 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return true_loss(*given)

    monkeypatch.setattr(parts.losses, "forward", short_of_memory)
    train_step(parts, second)
    assert not network.holds_graphs
    with pytest.raises(torch.OutOfMemoryError):  # there is nothing left to give back
        train_step(parts, second)


@pytest.mark.parametrize(("free", "is_short"), [(2e9, True), (4e9, False)])
def test_a_graph_beside_which_the_update_may_not_fit_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, free: float, is_short: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (int(free), int(8e9)))
    weights = SimpleNamespace(numel=lambda: 250_000_000, element_size=lambda: 4)
    passes: Any = SimpleNamespace(inputs=[SimpleNamespace(device=CUDA)], parameters=[weights])
    with pytest.raises(RuntimeError, match="it leaves 2.0 GB") if is_short else nullcontext():
        graphed._check_room(passes)


class _Replaces(nn.Module):
    """A backbone that puts a new tensor in the place of its buffer."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        self.seen = self.seen + 1
        output: Tensor = self.backbone(images_BCHW)
        return output


def test_a_network_that_replaces_its_buffers_is_not_recorded() -> None:
    parts = parts_of()
    parts.model.backbone = _Replaces(parts.model.backbone)
    [batch] = batches(parts, 1)
    network = GraphedNetwork(parts.model, parts.precision)
    with pytest.raises(RuntimeError, match="new tensors in the place of its buffers"):
        network.record(batch.images_BCHW, batch.person_ids_B, batch.camera_ids_B)


@pytest.mark.parametrize(
    ("sections", "device", "ranks", "obstacle"),
    [
        ({}, CUDA, Ranks(), ""),
        ({}, CPU, Ranks(), "steps are computed on cpu"),
        ({}, CUDA, Ranks(0, 2), "there are several processes"),
        ({"SOLVER": {"COMPILE": True}}, CUDA, Ranks(), "SOLVER.COMPILE is True"),
        ({"SOLVER": {"MEMORY_PLAN": "2"}}, CUDA, Ranks(), "SOLVER.MEMORY_PLAN is 2"),
        ({"MODEL": {"LOSSES": {"NAME": ("TripletLoss",)}}}, CUDA, Ranks(), "a part of the model is seen by no loss"),
    ],
)
def test_where_there_can_be_no_graph_the_reason_is_said(
    sections: dict[str, Any], device: torch.device, ranks: Ranks, obstacle: str
) -> None:
    parts = parts_of(**sections)
    assert graph_obstacle(parts.config, device, ranks, parts.model) == obstacle
    if not obstacle:
        parts.model.head.register_forward_hook(lambda *_: None)
        assert graph_obstacle(parts.config, device, ranks, parts.model) == "a hook hangs on the model"


class _AddedWeights(nn.Module):
    """A backbone with two weights that are added up: they have one gradient."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.one, self.other = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        output: Tensor = self.backbone(images_BCHW) * (self.one + self.other)
        return output


def test_no_gradient_lies_in_the_memory_of_another() -> None:
    """Else clipping, or a gradient scaler, would divide it twice."""
    parts = parts_of()
    parts.model.backbone = backbone = _AddedWeights(parts.model.backbone)
    parts, _ = replayed(parts)
    forward_losses(parts, batches(parts, 1)[0]).total.backward()
    one, other = backbone.one.grad, backbone.other.grad
    assert one is not None
    assert other is not None
    assert torch.equal(one, other)
    assert one.data_ptr() != other.data_ptr()


def test_what_a_loss_keeps_of_a_step_is_not_written_by_the_next() -> None:
    parts, network = replayed(parts_of())
    first, second = batches(parts, 2)
    kept = network(first.images_BCHW, person_ids_B=first.person_ids_B, camera_ids_B=first.camera_ids_B)
    before = [output.detach().clone() for output in kept]
    network(second.images_BCHW, person_ids_B=second.person_ids_B, camera_ids_B=second.camera_ids_B)
    assert all(torch.equal(output, then) for output, then in zip(kept, before, strict=True))


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
