"""Which way of computing a step is chosen, that wrong ways never are, and that measuring leaves no trace."""

import random
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unplateau.base.errors import ConfigError
from unplateau.engine import step_choice
from unplateau.engine.precision import Precision, number_formats, ways
from unplateau.engine.ranks import Ranks
from unplateau.engine.step_check import look
from unplateau.engine.step_choice import choose_step, measure_ways, winner
from unplateau.engine.step_rule import Unmeasured
from unplateau.runs.step_choice import StepTiming, StepWay
from unplateau.testing.tiny_problem import tiny_config, tiny_parts

PLAIN, LAID_OUT = StepWay("fp32", False), StepWay("fp32", True)
HALF, HALF_LAID_OUT = StepWay("bf16", False), StepWay("bf16", True)
LONG = {"MAX_EPOCH": 1000}


def training_of(**solver: Any) -> Unmeasured:
    parts = tiny_parts(config=tiny_config(SOLVER=solver))
    return Unmeasured(parts.config, parts.device, Ranks(), parts.model, parts.losses, parts.train_loader)


class _LayoutMatters(nn.Module):
    """A backbone with a kernel that is wrong for channels last."""

    def __init__(self, backbone: nn.Module, wrong: str) -> None:
        super().__init__()
        self.backbone, self.wrong = backbone, wrong

    def forward(self, images_BCHW: Tensor) -> Tensor:
        output = cast(Tensor, self.backbone(images_BCHW))
        if not images_BCHW.is_contiguous(memory_format=torch.channels_last):
            return output
        if self.wrong == "raises":
            raise RuntimeError("no such kernel")
        if self.wrong == "is not finite":
            return output * float("nan")
        if self.wrong == "no gradient passes":
            return output.detach()
        if self.wrong == "gradient from elsewhere":
            return output.detach() + (output - output.detach()).roll(8, dims=0)
        return -output


@pytest.mark.parametrize("wrong", ["raises", "is not finite", "other sign", "no gradient passes", "gradient from elsewhere"])
def test_a_way_that_computes_wrongly_is_never_chosen_and_its_fault_is_said(wrong: str) -> None:
    training = training_of(**LONG)
    training.model.backbone = _LayoutMatters(training.model.backbone, wrong)
    choice = choose_step(training)
    assert (choice.basis, choice.way) == ("measured", PLAIN)
    plain, laid_out = choice.timings
    assert plain.problem == ""
    expected = {"raises": "it failed: no such kernel", "is not finite": "its loss or gradient is not finite"}
    assert laid_out.problem.startswith(expected.get(wrong, "its "))
    assert laid_out.seconds == float("inf")


def test_measuring_changes_no_weight_no_gradient_no_mode_and_no_random_stream() -> None:
    training = training_of(AMP={"ENABLED": True}, **LONG)
    assert len(ways(training.config, training.device, training.model)) > 1
    training.model.head.eval()
    modules = (training.model, training.losses)
    before = [{name: tensor.clone() for name, tensor in module.state_dict().items()} for module in modules]
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index, union-attr]
    assert choose_step(training).basis == "measured"
    for module, kept in zip(modules, before, strict=True):
        assert all(torch.equal(tensor, kept[name]) for name, tensor in module.state_dict().items())
        assert all(parameter.grad is None for parameter in module.parameters())
    assert not training.model.head.training
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]  # type: ignore[index, union-attr]
    assert random.getstate() == states[2]


def test_a_short_run_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_choice, "measure_ways", lambda *_, **__: pytest.fail("steps were measured"))
    assert choose_step(training_of(MAX_EPOCH=4)).basis == "rule"  # 16 steps: two ways of three steps are over 2 %
    assert choose_step(training_of(MAX_EPOCH=1000, STOP_EPOCH=4)).basis == "rule"
    assert choose_step(training_of(MEASURE_STEP=False, **LONG)).basis == "rule"


def test_timing_takes_no_more_than_its_share_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[StepWay] = []
    monkeypatch.setattr(step_choice._Runner, "time_step", lambda self: _step_of_a_second(self, counted, clock))
    clock = [0.0]
    monkeypatch.setattr(step_choice.time, "perf_counter", lambda: clock[0])
    choose_step(training_of(MAX_EPOCH=75))  # 300 steps: 6 may be timed
    assert len(counted) == 8  # two ways in turn, until six seconds have passed
    counted.clear()
    choose_step(training_of(**LONG))
    assert len(counted) == 10  # 8 seconds are enough


def _step_of_a_second(runner: Any, counted: list[StepWay], clock: list[float]) -> None:
    clock[0] += 1
    counted.append(runner.timing.way)
    runner.timing = replace(runner.timing, seconds=1.0)


def test_what_the_configuration_says_is_obeyed_without_measuring() -> None:
    for channels_last in ("on", "off"):
        for amp, number_format in (({"ENABLED": False}, "fp32"), ({"ENABLED": True, "DTYPE": "bf16"}, "bf16")):
            choice = choose_step(training_of(AMP=amp, CHANNELS_LAST=channels_last, **LONG))
            assert (choice.basis, choice.way) == ("set", StepWay(number_format, channels_last == "on"))


def test_labels_out_of_range_are_left_to_preflight(monkeypatch: pytest.MonkeyPatch) -> None:
    training = training_of(**LONG)
    batch = next(iter(training.loader.epoch(1)))
    wrong = replace(batch, person_ids_B=batch.person_ids_B + training.loader.num_identities)
    monkeypatch.setattr(training.loader, "epoch", lambda epoch: iter([wrong]))
    assert choose_step(training).basis == "rule"


def _timings(plain: float, laid_out: float, half: float, half_laid_out: float) -> tuple[StepTiming, ...]:
    seconds = (plain, laid_out, half, half_laid_out)
    return tuple(StepTiming(way, one) for way, one in zip((PLAIN, LAID_OUT, HALF, HALF_LAID_OUT), seconds, strict=True))


def test_the_fastest_wins_where_it_gains_enough() -> None:
    assert winner(_timings(1.0, 0.8, 0.7, 0.5)) == HALF_LAID_OUT
    assert winner(_timings(1.0, 0.6, 0.9, 0.58)) == LAID_OUT  # a tenth is the least that fewer bits must gain
    assert winner(_timings(1.0, 0.98, 0.95, 0.95)) == PLAIN
    assert winner(_timings(1.0, 1.2, 1.1, 1.3)) == PLAIN


def test_a_way_with_a_problem_never_wins_however_fast() -> None:
    plain, laid_out, half, half_laid_out = _timings(1.0, 0.8, 0.1, 0.1)
    damaged = (plain, laid_out, replace(half, problem="its loss differs"), replace(half_laid_out, problem="it failed"))
    assert winner(damaged) == LAID_OUT


def test_a_scaled_gradient_that_overflows_is_halved_until_it_fits() -> None:
    parts = tiny_parts(config=tiny_config(MODEL={"LOSSES": {"CE": {"SCALE": 1e30}}}))
    batch = next(iter(parts.train_loader.epoch(1)))
    scaled = replace(parts, precision=Precision("cpu", None, torch.amp.GradScaler("cpu")))
    heavier = tiny_parts(config=tiny_config(MODEL={"LOSSES": {"CE": {"SCALE": 1e34}}}))  # times 2**16 it is infinite
    over = replace(heavier, precision=scaled.precision)
    for one in (scaled, over):
        plain = look(replace(one, precision=parts.precision), batch, ("fp32", ""))
        seen = look(one, batch, ("fp16", ""))
        assert torch.isfinite(seen.gradient).all()
        torch.testing.assert_close(seen.gradient, plain.gradient)


def test_the_plainest_way_comes_first_and_the_one_by_rule_last(monkeypatch: pytest.MonkeyPatch) -> None:
    training = training_of(AMP={"ENABLED": True})
    monkeypatch.setattr("unplateau.engine.precision._computes_bf16", lambda device: True)
    assert ways(training.config, training.device, training.model) == (PLAIN, LAID_OUT, HALF, HALF_LAID_OUT)
    monkeypatch.setattr("unplateau.engine.precision._computes_bf16", lambda device: False)
    assert ways(training.config, training.device, training.model) == (PLAIN, LAID_OUT)


@pytest.mark.parametrize(
    ("card", "formats"), [("NVIDIA GeForce RTX 2060", ("fp32", "fp16")), ("NVIDIA GeForce GTX 1650", ("fp32",))]
)
def test_fp16_is_left_out_on_cards_that_compute_it_wrongly(
    monkeypatch: pytest.MonkeyPatch, card: str, formats: tuple[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: card)
    assert number_formats(tiny_config(SOLVER={"AMP": {"ENABLED": True}}), torch.device("cuda")) == formats


def test_fp16_on_a_processor_is_refused() -> None:
    with pytest.raises(ConfigError, match="fp16, which a CPU does not train in"):
        number_formats(tiny_config(SOLVER={"AMP": {"ENABLED": True, "DTYPE": "fp16"}}), torch.device("cpu"))


def test_bf16_of_a_real_network_passes_the_check() -> None:
    training = training_of(AMP={"ENABLED": True}, **LONG)
    batch = next(iter(training.loader.epoch(1)))
    plain, half = measure_ways(training, (PLAIN, HALF), batch, num_steps=1000)
    assert (plain.problem, half.problem) == ("", "")
    assert 0.85 < half.head_agreement < 1.0
