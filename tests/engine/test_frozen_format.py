"""Frozen layers in fewer bits: only they, only in a step, and what learns sees single precision."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unplateau.engine import precision
from unplateau.engine.freezing import freeze
from unplateau.engine.frozen_format import frozen_format
from unplateau.engine.memory_plan import StepMemory, plan_named
from unplateau.engine.parts import Parts
from unplateau.engine.precision import ways
from unplateau.engine.train_step import forward_losses, train_step
from unplateau.runs.step_choice import StepWay
from unplateau.testing.tiny_problem import tiny_config, tiny_parts

CPU = torch.device("cpu")
FROZEN = {"FREEZE_LAYERS": ("backbone.first", "backbone.second")}


class _Chain(nn.Module):
    """Two layers that can be frozen, and the tiny backbone, which learns; the second's output may be used twice."""

    def __init__(self, backbone: nn.Module, *, is_used_twice: bool = False) -> None:
        super().__init__()
        self.first, self.second, self.rest = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1), backbone
        self.is_used_twice, self.seen = is_used_twice, dict[str, torch.dtype]()

    def forward(self, images_BCHW: Tensor) -> Tensor:
        middle = self.first(images_BCHW)
        maps = self.second(middle)
        self.seen = {"between": middle.dtype, "after": maps.dtype}
        output: Tensor = self.rest(maps + middle[:, :3] if self.is_used_twice else maps)
        return output


def parts_of(number_format: str, **options: Any) -> Parts:
    config = tiny_config(MODEL=FROZEN)
    parts = tiny_parts(config=tiny_config())
    torch.manual_seed(0)
    parts.model.backbone = _Chain(parts.model.backbone, **options)
    freeze(parts.model.train(), config, 0)
    return replace(parts, config=config, frozen=frozen_format(parts.model, config, number_format, CPU))


def test_frozen_layers_hand_bits_to_one_another_and_single_precision_to_what_learns() -> None:
    parts = parts_of("bf16")
    assert parts.frozen is not None
    assert parts.frozen.exits == {"backbone.second"}
    batch = next(iter(parts.train_loader.epoch(1)))
    terms = train_step(parts, batch)
    assert parts.model.backbone.seen == {"between": torch.bfloat16, "after": torch.float32}
    plain = parts_of("")
    same = train_step(plain, batch)
    assert plain.model.backbone.seen == {"between": torch.float32, "after": torch.float32}
    assert float(terms.total) != float(same.total)
    assert float(terms.total) == pytest.approx(float(same.total), rel=0.02)


def test_the_numbers_are_those_of_autocast_around_the_frozen_layers_alone() -> None:
    parts = parts_of("bf16")
    batch, backbone = next(iter(parts.train_loader.epoch(1))), parts.model.backbone
    with parts.number_formats(parts.model):
        given = parts.model(batch.images_BCHW, person_ids_B=batch.person_ids_B).features_BD
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = backbone.second(backbone.first(batch.images_BCHW))
    assert torch.equal(given, parts.model.head(backbone.rest(maps.float()), batch.person_ids_B).features_BD)


def test_what_is_used_outside_by_no_module_still_trains() -> None:
    parts = parts_of("bf16", is_used_twice=True)
    assert torch.isfinite(train_step(parts, next(iter(parts.train_loader.epoch(1)))).total)
    assert parts.model.backbone.seen["after"] == torch.float32


def test_the_model_is_the_same_before_and_after_and_only_what_learns_learns() -> None:
    parts = parts_of("bf16")
    before = {name: tensor.clone() for name, tensor in parts.model.state_dict().items()}
    modes = [module.training for module in parts.model.modules()]
    frozen_format(parts.model, parts.config, "bf16", CPU)
    assert all(torch.equal(tensor, before[name]) for name, tensor in parts.model.state_dict().items())
    assert [module.training for module in parts.model.modules()] == modes
    train_step(parts, next(iter(parts.train_loader.epoch(1))))
    changed = {name for name, tensor in parts.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed and not any("first" in name or "second" in name for name in changed)
    assert not any("forward" in module.__dict__ for module in parts.model.modules())
    with pytest.raises(RuntimeError, match="lost"), parts.number_formats(parts.model):
        raise RuntimeError("lost")
    assert not any("forward" in module.__dict__ for module in parts.model.modules())


@pytest.mark.parametrize("plan", ["checkpoint", "2"])
def test_under_a_memory_plan_all_layers_are_computed_alike(plan: str) -> None:
    totals = []
    for number_format in ("", "bf16"):
        parts = replace(parts_of(number_format), memory=StepMemory(plan_named(plan)))
        totals.append(float(train_step(parts, next(iter(parts.train_loader.epoch(1)))).total))
    assert totals[0] == totals[1]


def test_a_copy_of_the_model_is_computed_alike() -> None:
    parts = parts_of("bf16")
    batch = next(iter(parts.train_loader.epoch(1)))
    copied = parts_of("bf16").model
    copied.load_state_dict(parts.model.state_dict())
    other = replace(parts, model=copied, network=copied)
    assert torch.equal(forward_losses(parts, batch).total, forward_losses(other, batch).total)


def _ways(monkeypatch: pytest.MonkeyPatch, solver: dict[str, Any], model: dict[str, Any]) -> tuple[StepWay, ...]:
    monkeypatch.setattr(precision, "_computes_bf16", lambda device: True)
    parts = tiny_parts(config=tiny_config(SOLVER=solver))
    return ways(tiny_config(SOLVER=solver, MODEL=model), CPU, parts.model)


def test_the_way_is_open_where_layers_are_frozen_for_good_and_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    half = StepWay("fp32", True, "bf16")
    on = {"AMP": {"ENABLED": True}}
    found = _ways(monkeypatch, on, FROZEN)
    assert half in found
    assert (found[0], found[-1]) == (StepWay("fp32", False), StepWay("bf16", True))  # the plainest, and the one by rule
    assert half not in _ways(monkeypatch, on, {})
    assert half not in _ways(monkeypatch, {**on, "FREEZE_ITERS": 3}, FROZEN)
    assert half not in _ways(monkeypatch, {**on, "COMPILE": True}, FROZEN)
    assert half not in _ways(monkeypatch, {"AMP": {"ENABLED": True, "FROZEN_DTYPE": "same"}}, FROZEN)
    assert half not in _ways(monkeypatch, {}, FROZEN)
    told = {"AMP": {"FROZEN_DTYPE": "bf16"}, "CHANNELS_LAST": "on"}
    assert _ways(monkeypatch, told, FROZEN) == (half,)
    assert _ways(monkeypatch, told, {}) == (StepWay("fp32", True),)
    keys = half.keys.split()
    amp = {"ENABLED": keys[1] == "True", "FROZEN_DTYPE": keys[keys.index("SOLVER.AMP.FROZEN_DTYPE") + 1]}
    assert _ways(monkeypatch, {"AMP": amp, "CHANNELS_LAST": "on"}, FROZEN) == (half,)
