"""Which way of embedding images is chosen, that wrong ways never are, and that measuring leaves no trace."""

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from unplateau.data.loader import Batch
from unplateau.engine import embed_choice, precision
from unplateau.engine.embed_choice import ToEmbed, choose_embedding, embed_ways, is_open, winner
from unplateau.engine.embedding import embed, embedding_network
from unplateau.engine.ranks import Ranks
from unplateau.runs.embed_choice import EmbedTiming, EmbedWay
from unplateau.runs.step_choice import StepWay
from unplateau.testing.tiny_problem import tiny_config, tiny_parts

PLAIN, LAID_OUT, FOLDED = EmbedWay("fp32", False), EmbedWay("fp32", True), EmbedWay("fp32", True, is_folded=True)
HALF, HALF_FOLDED = EmbedWay("bf16", True), EmbedWay("bf16", True, is_folded=True)
MANY = 10**6


class _WithNorm(nn.Module):
    """The tiny backbone with a convolution and a batch norm before it; optionally wrong where images lie channels last."""

    def __init__(self, backbone: nn.Module, wrong: str = "") -> None:
        super().__init__()
        self.convolution, self.norm, self.backbone, self.wrong = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), backbone, wrong

    def forward(self, images_BCHW: Tensor) -> Tensor:
        output = cast(Tensor, self.backbone(self.norm(self.convolution(images_BCHW))))
        if not self.wrong or not images_BCHW.is_contiguous(memory_format=torch.channels_last):
            return output
        if self.wrong == "raises":
            raise RuntimeError("no such kernel")
        return output * float("nan") if self.wrong == "is not finite" else output.roll(1, dims=0)


def task_of(*, num_images: int = MANY, wrong: str = "", config: Any = None, **solver: Any) -> ToEmbed:
    parts = tiny_parts(config=config or tiny_config(SOLVER=solver))
    parts.model.backbone = _WithNorm(parts.model.backbone, wrong)

    def batch() -> Batch:
        return next(iter(parts.train_loader.epoch(1)))

    return ToEmbed(parts.config, parts.device, Ranks(), parts.model, StepWay("fp32", True), num_images, batch)


@pytest.fixture
def computes_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_computes_bf16", lambda device: True)


@pytest.mark.usefixtures("computes_bf16")
def test_the_plainest_way_comes_first_and_what_the_configuration_says_is_obeyed() -> None:
    assert embed_ways(task_of(AMP={"ENABLED": True})) == (PLAIN, LAID_OUT, FOLDED, HALF, HALF_FOLDED)
    assert embed_ways(task_of()) == (PLAIN, LAID_OUT, FOLDED)
    assert embed_ways(task_of(CHANNELS_LAST="off")) == (PLAIN, EmbedWay("fp32", False, is_folded=True))
    half = embed_ways(task_of(AMP={"ENABLED": True, "DTYPE": "bf16"}, CHANNELS_LAST="on"))
    assert half == (HALF, HALF_FOLDED)


def test_a_network_without_batch_norm_has_nothing_to_fold() -> None:
    task = task_of()
    task.model.backbone = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
    assert embed_ways(task) == (PLAIN, LAID_OUT)


def test_a_stored_way_is_open_only_where_format_and_layout_are() -> None:
    task = task_of(CHANNELS_LAST="off")
    arguments = task.config, task.device, task.model
    assert is_open(EmbedWay("fp32", False, is_folded=True), *arguments)
    assert not is_open(FOLDED, *arguments)
    assert not is_open(EmbedWay("bf16", False), *arguments)


@pytest.mark.parametrize("wrong", ["raises", "is not finite", "rows mixed up"])
def test_a_way_that_embeds_wrongly_is_never_chosen_and_its_fault_is_said(wrong: str) -> None:
    choice = choose_embedding(task_of(wrong=wrong))
    assert (choice.basis, choice.way) == ("measured", PLAIN)
    plain, laid_out, folded = choice.timings
    assert plain.problem == ""
    expected = {"raises": "it failed: no such kernel", "is not finite": "its embeddings are not finite"}
    for one in (laid_out, folded):
        assert one.problem.startswith(expected.get(wrong, "its embeddings point elsewhere"))
        assert one.seconds == float("inf")


@pytest.mark.usefixtures("computes_bf16")
def test_right_ways_pass_and_agree_with_the_plainest() -> None:
    choice = choose_embedding(task_of(AMP={"ENABLED": True}))
    assert [timing.problem for timing in choice.timings] == [""] * 5
    agreements = {timing.way: timing.agreement for timing in choice.timings}
    assert agreements[FOLDED] > 0.99999
    assert 0.98 < agreements[HALF_FOLDED] < 0.999999  # so it was computed in fewer bits


def test_measuring_changes_no_weight_no_mode_and_no_random_stream() -> None:
    task = task_of()
    task.model.train()
    before = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
    state = torch.get_rng_state()
    choice = choose_embedding(task)
    assert choice.basis == "measured"
    assert all(torch.equal(tensor, before[name]) for name, tensor in task.model.state_dict().items())
    assert all(module.training for module in task.model.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_little_to_embed_is_not_measured_and_done_as_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed_choice, "measure_ways", lambda *_, **__: pytest.fail("passes were measured"))
    few = choose_embedding(task_of(num_images=7199))  # three ways, three rounds of 16 images are over 2 %
    assert (few.basis, few.way) == ("rule", EmbedWay.of_step(StepWay("fp32", True)))
    told = tiny_config(TEST={"MEASURE_EMBEDDING": False})
    assert choose_embedding(task_of(config=told)).basis == "rule"
    monkeypatch.undo()
    assert choose_embedding(task_of(num_images=7200)).basis == "measured"


def test_where_the_plainest_way_fails_the_next_one_is_what_others_are_compared_with() -> None:
    task = task_of()
    true_forward = task.model.forward

    def forward(images_BCHW: Tensor, **ids: Any) -> Any:
        if not images_BCHW.is_contiguous(memory_format=torch.channels_last):
            raise torch.OutOfMemoryError("out of memory")
        return true_forward(images_BCHW, **ids)

    task.model.forward = forward
    timings = embed_choice.measure_ways(task, (PLAIN, LAID_OUT, FOLDED), task.batch())
    assert timings[0].problem == "it failed: out of memory"
    assert [(timing.problem, timing.agreement) for timing in timings[1:2]] == [("", 1.0)]
    assert timings[2].problem == "it failed: no batch norm can be folded"  # a network with a forward pass of its own
    assert winner(timings) == LAID_OUT


def test_tiny_embeddings_of_random_weights_agree_with_themselves() -> None:
    task = task_of()
    task.model.head.neck = nn.Identity()
    for parameter in task.model.backbone.norm.parameters():
        parameter.data.mul_(1e-15)
    choice = choose_embedding(task)
    assert float(embed(task.model.eval(), task.batch().images_BCHW, task.batch().camera_ids_B).detach().abs().max()) < 1e-12
    assert [timing.problem for timing in choice.timings] == [""] * 3


def test_the_fastest_wins_where_it_gains_enough() -> None:
    def of(*seconds: float) -> EmbedWay:
        ways = (PLAIN, LAID_OUT, FOLDED, HALF, HALF_FOLDED)
        return winner(tuple(EmbedTiming(way, one) for way, one in zip(ways, seconds, strict=True)))

    assert of(1.0, 0.8, 0.7, 0.5, 0.4) == HALF_FOLDED
    assert of(1.0, 0.8, 0.60, 0.9, 0.58) == FOLDED  # a tenth is the least that fewer bits must gain
    assert of(1.0, 0.99, 1.2, 0.95, 0.95) == PLAIN
    damaged = EmbedTiming(HALF, 0.1, problem="it failed")
    assert winner((EmbedTiming(PLAIN, 1.0), damaged, EmbedTiming(FOLDED, 0.9))) == FOLDED


def test_the_model_itself_embeds_where_the_way_asks_for_no_more() -> None:
    task = task_of()
    model = task.model.eval()
    assert embedding_network(model, PLAIN, task.batch) is model
    laid_out = embedding_network(model, LAID_OUT, task.batch)
    assert laid_out is not model
    assert embedding_network(laid_out, LAID_OUT, task.batch) is laid_out
    for module in model.backbone.modules():
        module.train()  # as a network of a user's own may do it: there is nothing to fold, and it is not folded
    assert embedding_network(model, replace(FOLDED, channels_last=False), task.batch) is model


def test_a_folded_copy_is_of_the_weights_as_they_are_now() -> None:
    task = task_of()
    model, batch = task.model, task.batch()
    seen = []
    for _ in range(2):
        model.train()
        with torch.no_grad():
            embed(model, batch.images_BCHW, batch.camera_ids_B)  # moves the batch statistics
            model.backbone.norm.weight.mul_(1.5)
            copied = embedding_network(model.eval(), FOLDED, task.batch)
            seen.append(embed(copied, batch.images_BCHW, batch.camera_ids_B))
            torch.testing.assert_close(seen[-1], embed(model, batch.images_BCHW, batch.camera_ids_B), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(seen[0], seen[1], rtol=1e-2)
