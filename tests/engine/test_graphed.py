"""That a training whose passes are replayed is the training launched singly, and what is recorded anew or not at all.

Graphs are played on the CPU; a GPU records the same operations. B batch.
"""

import copy
import logging
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unplateau.data.loader import Batch
from unplateau.engine import graphed, step_choice
from unplateau.engine.freezing import freeze
from unplateau.engine.graphed import GraphedNetwork, graph_obstacle
from unplateau.engine.memory_plan import CHECKPOINT, StepMemory
from unplateau.engine.memory_plan import PLAIN as PLAIN_PLAN
from unplateau.engine.parts import Parts
from unplateau.engine.ranks import Ranks
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
