"""Steps that do not fit: done again under the next plan, as if they had been so from the start. Each plan against an oracle."""

import gc
import logging
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.engine.memory_plan_desk import after_steps, assert_same, batches_of, held_tensors, planned_parts, state_of
from unplateau.engine.memory_plan import StepMemory, ladder, plan_named
from unplateau.engine.parts import Parts
from unplateau.engine.precision import Precision
from unplateau.engine.train_step import train_step
from unplateau.optim.moving_average import MovingAverage
from unplateau.testing.memory_limit import MemoryLimit
from unplateau.testing.tiny_problem import tiny_config


@pytest.mark.parametrize("plan", ["checkpoint", "2", "8"])
@pytest.mark.parametrize("at_step", [0, 2])
def test_a_run_that_meets_its_limit_equals_one_that_had_the_plan_from_that_step(plan: str, at_step: int) -> None:
    """The limit is met where the activations are largest, so in the middle of a pass, with batch statistics half updated."""
    planned, limited = (_with_all_extras(planned_parts("drops out", "plain", OPT="Adam", BASE_LR=0.01)) for _ in range(2))
    for parts, is_limited in ((planned, False), (limited, True)):
        parts.model.train()
        torch.manual_seed(5)
        batches = batches_of(parts)
        for step in range(4):
            if step == at_step and is_limited:
                object.__setattr__(parts, "memory", StepMemory(may_step_down=True))
                _fail_until(parts, plan)
            if step == at_step and not is_limited:
                object.__setattr__(parts, "memory", StepMemory(plan_named(plan)))
            train_step(parts, next(batches))
    assert limited.memory.plan.name == plan
    assert_same(state_of(limited), state_of(planned))
    assert_same(_state_of_average(limited), _state_of_average(planned))
    assert limited.precision.scaler is not None and planned.precision.scaler is not None
    assert limited.precision.scaler.state_dict() == planned.precision.scaler.state_dict()


def _with_all_extras(parts: Parts) -> Parts:
    """Moving average, gradient scaler, clipping."""
    config = parts.config.model_copy(update={"SOLVER": parts.config.SOLVER.model_copy(deep=True)})
    object.__setattr__(config.SOLVER.CLIP_GRADIENTS, "ENABLED", True)
    precision = Precision("cpu", None, torch.amp.GradScaler("cpu", init_scale=1024.0))
    return replace(parts, config=config, average=MovingAverage(parts.model, decay=0.9), precision=precision)


def _state_of_average(parts: Parts) -> dict[str, Tensor]:
    assert parts.average is not None
    return dict(parts.average.model.state_dict())


def _fail_until(parts: Parts, plan: str) -> None:
    """Run out of memory in the fourth stage, forward or backward, until the plan is reached."""
    stage = parts.model.backbone.stages[3]  # type: ignore[index, union-attr]
    failures = iter(range(100))

    def fail(*_: Any) -> None:
        if parts.memory.plan.name != plan:
            torch.rand(7)
            raise torch.OutOfMemoryError(f"CUDA out of memory. Try {next(failures)}")

    def fail_in_backward(module: nn.Module, inputs: Any, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(fail)

    if plan == "2":
        stage.register_forward_hook(fail_in_backward)
    else:
        stage.register_forward_pre_hook(fail)


def test_the_plan_is_found_by_the_memory_that_is_there(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing here says which plan is right: tensors that would be alive beyond the limit raise, as on a card."""
    needs = {}
    for plan in ladder(16):
        parts = planned_parts("drops out", plan.name)
        parts.model.train()
        with MemoryLimit(2**40, held_tensors(parts)) as free:
            before = free.live_bytes
            train_step(parts, next(batches_of(parts)))
            needs[plan.name] = free.peak_bytes - before
    assert list(needs.values()) == sorted(needs.values(), reverse=True), needs
    for wanted in ("checkpoint", "4"):
        parts = replace(planned_parts("drops out", "plain"), memory=StepMemory(may_step_down=True))
        parts.model.train()
        batch = next(batches_of(parts))
        gc.collect()
        with caplog.at_level(logging.WARNING), MemoryLimit(needs[wanted] + 100_000, held_tensors(parts)) as card:
            caplog.clear()
            train_step(parts, batch)
        assert parts.memory.plan.name == wanted, needs
        assert card.num_failures == len(caplog.records) == [plan.name for plan in ladder(16)].index(wanted)
        line = caplog.records[-1].getMessage()
        assert line.startswith("Out of memory in a step of 16 images (CUDA out of memory. Tried to allocate ")
        assert "The second line" not in line and "slow" in line


def test_what_fits_under_no_plan_is_the_error_itself_and_nothing_has_changed() -> None:
    parts = replace(planned_parts("drops out", "plain"), memory=StepMemory(may_step_down=True))
    parts.model.train()
    batch = next(batches_of(parts))
    before, torch_state = state_of(parts), torch.get_rng_state()
    gc.collect()
    with MemoryLimit(50_000, held_tensors(parts)) as card, pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        train_step(parts, batch)
    assert card.num_failures == len(ladder(16)) and parts.memory.plan.name == "8"
    after = {name: value for name, value in state_of(parts).items() if not name.startswith("gradient")}
    assert_same(after, {name: value for name, value in before.items() if not name.startswith("gradient")})
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_a_plan_that_was_asked_for_is_kept_and_off_is_off() -> None:
    for name in ("off", "checkpoint", "2"):
        memory = StepMemory.from_config(tiny_config(SOLVER={"MEMORY_PLAN": name}), world_size=1)
        assert memory.plan.name == {"off": "plain"}.get(name, name) and memory.below(16) is None
    assert StepMemory.from_config(tiny_config(), world_size=1).below(16) == plan_named("checkpoint")
    assert StepMemory.from_config(tiny_config(), world_size=2).below(16) is None


def test_other_errors_pass_and_are_not_tried_again() -> None:
    parts = replace(planned_parts("drops out", "plain"), memory=StepMemory(may_step_down=True))
    calls = []

    def fail(*_: Any) -> None:
        calls.append(1)
        raise RuntimeError("shapes differ")

    parts.model.backbone.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        train_step(parts, next(batches_of(parts)))
    assert calls == [1] and parts.memory.plan.name == "plain"


@pytest.mark.parametrize("plan", ["checkpoint", "2"])
def test_gradients_reach_the_weights_through_half_precision(plan: str) -> None:
    """Casts made without a graph must not be used again with one."""
    plain, other = (planned_parts("OSNet", name, AMP={"ENABLED": True, "DTYPE": "bf16"}) for name in ("plain", plan))
    expected, _ = after_steps(plain, 1)
    found, _ = after_steps(other, 1)
    names = [name for name in expected if name.startswith("gradient backbone")]
    assert names and all(found[name].abs().sum() > 0 for name in names if expected[name].abs().sum() > 0)
    if plan == "checkpoint":
        assert_same(found, expected)


def test_a_frozen_backbone_trains_its_head_under_every_plan() -> None:
    for plan in ("checkpoint", "2"):
        parts = planned_parts("drops out", plan)
        parts.model.backbone.requires_grad_(False)
        parts.model.train()
        train_step(parts, next(batches_of(parts)))
        assert all(p.grad is None for p in parts.model.backbone.parameters())
        assert parts.model.head.neck.weight.grad is not None
