"""Steps that do not fit: done again under the next plan, as if they had been so from the start. Each plan against an oracle."""

import copy
import gc
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unplateau.data.loader import Batch
from unplateau.engine.memory_plan import StepMemory, ladder, plan_named
from unplateau.engine.micro_batches import shares
from unplateau.engine.parts import Parts
from unplateau.engine.precision import Precision
from unplateau.engine.recomputing import cheapest_cut, measure_parts, peak_bytes, recomputed
from unplateau.engine.train_step import train_step
from unplateau.optim.moving_average import MovingAverage
from unplateau.testing.memory_limit import MemoryLimit
from unplateau.testing.tiny_problem import tiny_config, tiny_parts, tiny_problem

BACKBONES: dict[str, dict[str, Any]] = {
    "drops out": {"NAME": "tests.engine.test_memory_plan:backbone_that_drops_out"},
    "OSNet": {"NAME": "build_osnet_backbone", "DEPTH": "x0_25"},
    "transformer": {"NAME": "vit_tiny_patch16_224", "DROP_PATH_RATIO": 0.3, "DROP_RATIO": 0.1},
    "calm transformer": {"NAME": "vit_tiny_patch16_224", "DROP_PATH_RATIO": 0.0},
}
SIZE = (32, 32)


class _Stage(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, 2 * outputs, 3, stride, 1), nn.BatchNorm2d(2 * outputs), nn.ReLU(inplace=True), nn.Dropout(0.2),
            nn.Conv2d(2 * outputs, outputs, 1), nn.BatchNorm2d(outputs, momentum=None), nn.ReLU(inplace=True),
        )  # fmt: skip

    def forward(self, maps: Tensor) -> Tensor:
        found: Tensor = self.layers(maps)
        return found


class _DropsOut(nn.Module):
    num_features = 24

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.Sequential(_Stage(3, 16, 2), _Stage(16, 24, 1), _Stage(24, 24, 1), _Stage(24, 24, 1), _Stage(24, 24, 2))

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.stages(images)
        return found


def backbone_that_drops_out() -> nn.Module:
    return _DropsOut()


def _parts(backbone: str, plan: str, *, batch_size: int = 16, **solver: Any) -> Parts:
    model = {"BACKBONE": BACKBONES[backbone]}
    sizes = {"SIZE_TRAIN": SIZE, "SIZE_TEST": SIZE}
    config = tiny_config(MODEL=model, INPUT=sizes, SOLVER={"IMS_PER_BATCH": batch_size, "OPT": "SGD", "BASE_LR": 0.1, **solver})
    problem = tiny_problem()
    problem = replace(problem, images_NCHW=nn.functional.interpolate(problem.images_NCHW, size=SIZE))
    return replace(tiny_parts(problem, config), memory=StepMemory(plan_named(plan)))


def _batches(parts: Parts) -> Iterator[Batch]:
    epoch = 1
    while True:
        yield from parts.train_loader.epoch(epoch)
        epoch += 1


def _state(parts: Parts) -> dict[str, Tensor]:
    found = {**parts.model.state_dict(), **{f"gradient {name}": p.grad for name, p in parts.model.named_parameters()}}
    for number, optimizer in enumerate(parts.optimizers):
        for row, values in optimizer.state_dict()["state"].items():
            found |= {f"optimiser {number} {row} {name}": value for name, value in values.items()}
    return {name: value.clone() for name, value in found.items() if isinstance(value, Tensor)}


def _same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    differing = [name for name in first if not torch.equal(first[name], second[name])]
    assert not differing


def _close(first: dict[str, Tensor], second: dict[str, Tensor], tolerance: float) -> None:
    assert first.keys() == second.keys()
    for name, one in first.items():
        scale = max(float(one.abs().max()), 1e-3) if one.is_floating_point() else 1.0
        torch.testing.assert_close(
            one, second[name], atol=tolerance * scale, rtol=0, msg=lambda text, name=name: f"{name}: {text}"
        )


def _after_steps(parts: Parts, num_steps: int = 2) -> tuple[dict[str, Tensor], Tensor]:
    parts.model.train()
    torch.manual_seed(3)
    batches = _batches(parts)
    totals = [train_step(parts, next(batches)).total for _ in range(num_steps)]
    return _state(parts), torch.stack([*totals, torch.rand(())])  # what is drawn next is part of a step


@pytest.mark.parametrize("backbone", ["drops out", "OSNet", "transformer"])
def test_recomputing_changes_nothing_at_all(backbone: str) -> None:
    plain, recomputing = _parts(backbone, "plain"), _parts(backbone, "checkpoint")
    expected, expected_totals = _after_steps(plain)
    found, totals = _after_steps(recomputing)
    assert recomputing.memory.segments
    assert torch.equal(totals, expected_totals)
    _same(found, expected)


def _buffers(model: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in model.named_buffers()}


def _set_buffers(model: nn.Module, values: dict[str, Tensor]) -> None:
    """Put other tensors in their place: a graph may hold the old ones."""
    for name, value in values.items():
        owner, _, own_name = name.rpartition(".")
        setattr(model.get_submodule(owner), own_name, value.clone())


def _whole_graph_step(parts: Parts, batch: Batch, num_parts: int) -> Tensor:
    """The oracle: one graph that holds all micro-batches, batch statistics averaged over them, and then the plain update."""
    model = parts.model
    rows = shares(batch.person_ids_B, num_parts)
    start = _buffers(model.backbone)
    outputs, ends = [], []
    for part in rows:
        _set_buffers(model.backbone, start)
        outputs.append(model.backbone_output(batch.images_BCHW[part], batch.camera_ids_B[part]))
        ends.append(_buffers(model.backbone))
    means = {
        name: torch.stack([end[name] for end in ends]).mean(0) if value.is_floating_point() else ends[0][name]
        for name, value in start.items()
    }
    _set_buffers(model.backbone, means)
    by_row = {int(row): output[place] for part, output in zip(rows, outputs, strict=True) for place, row in enumerate(part)}
    whole = torch.stack([by_row[row] for row in range(len(batch.person_ids_B))])
    outputs_B = model.head_outputs(whole, batch.person_ids_B)
    assert outputs_B.logits_BI is not None
    total: Tensor = parts.losses(outputs_B.features_BD, outputs_B.logits_BI, batch.person_ids_B).total
    for optimizer in parts.optimizers:
        optimizer.zero_grad()
    total.backward()
    for optimizer in parts.optimizers:
        optimizer.step()
    return total.detach()


@pytest.mark.parametrize(
    ("backbone", "num_parts"), [("drops out", 2), ("drops out", 4), ("drops out", 8), ("OSNet", 2), ("transformer", 4)]
)
def test_micro_batches_give_the_gradients_of_the_graph_that_holds_them_all(backbone: str, num_parts: int) -> None:
    whole, parted = _parts(backbone, "plain"), _parts(backbone, str(num_parts))
    batch = next(_batches(whole))
    totals = []
    for parts, step in (
        (whole, lambda: _whole_graph_step(whole, batch, num_parts)),
        (parted, lambda: train_step(parted, batch).total),
    ):
        parts.model.train()
        torch.manual_seed(3)
        totals.append(step())
        totals.append(torch.rand(()))
    assert float(totals[0]) == pytest.approx(float(totals[2]), rel=1e-5)
    assert torch.equal(totals[1], totals[3])
    _close(_state(parted), _state(whole), 2e-5)


def test_micro_batches_of_a_backbone_without_batch_statistics_are_the_plain_step() -> None:
    plain, parted = _parts("calm transformer", "plain"), _parts("calm transformer", "4")
    expected, _ = _after_steps(plain, 1)
    found, _ = _after_steps(parted, 1)
    _close(found, expected, 2e-5)


@pytest.mark.parametrize("plan", ["checkpoint", "2", "8"])
@pytest.mark.parametrize("at_step", [0, 2])
def test_a_run_that_meets_its_limit_equals_one_that_had_the_plan_from_that_step(plan: str, at_step: int) -> None:
    """The limit is met where the activations are largest, so in the middle of a pass, with batch statistics half updated."""
    planned, limited = (_with_all_extras(_parts("drops out", "plain", OPT="Adam", BASE_LR=0.01)) for _ in range(2))
    for parts, is_limited in ((planned, False), (limited, True)):
        parts.model.train()
        torch.manual_seed(5)
        batches = _batches(parts)
        for step in range(4):
            if step == at_step and is_limited:
                object.__setattr__(parts, "memory", StepMemory(may_step_down=True))
                _fail_until(parts, plan)
            if step == at_step and not is_limited:
                object.__setattr__(parts, "memory", StepMemory(plan_named(plan)))
            train_step(parts, next(batches))
    assert limited.memory.plan.name == plan
    _same(_state(limited), _state(planned))
    _same(_state_of_average(limited), _state_of_average(planned))
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
        parts = _parts("drops out", plan.name)
        parts.model.train()
        with MemoryLimit(2**40, _held(parts)) as free:
            before = free.live_bytes
            train_step(parts, next(_batches(parts)))
            needs[plan.name] = free.peak_bytes - before
    assert list(needs.values()) == sorted(needs.values(), reverse=True), needs
    for wanted in ("checkpoint", "4"):
        parts = replace(_parts("drops out", "plain"), memory=StepMemory(may_step_down=True))
        parts.model.train()
        batch = next(_batches(parts))
        gc.collect()
        with caplog.at_level(logging.WARNING), MemoryLimit(needs[wanted] + 100_000, _held(parts)) as card:
            caplog.clear()
            train_step(parts, batch)
        assert parts.memory.plan.name == wanted, needs
        assert card.num_failures == len(caplog.records) == [plan.name for plan in ladder(16)].index(wanted)
        line = caplog.records[-1].getMessage()
        assert line.startswith("Out of memory in a step of 16 images (CUDA out of memory. Tried to allocate ")
        assert "The second line" not in line and "slow" in line


def _held(parts: Parts) -> list[Tensor]:
    return [*parts.model.parameters(), *parts.model.buffers(), parts.train_loader.problem.images_NCHW]  # type: ignore[attr-defined]


def test_what_fits_under_no_plan_is_the_error_itself_and_nothing_has_changed() -> None:
    parts = replace(_parts("drops out", "plain"), memory=StepMemory(may_step_down=True))
    parts.model.train()
    batch = next(_batches(parts))
    before, torch_state = _state(parts), torch.get_rng_state()
    gc.collect()
    with MemoryLimit(50_000, _held(parts)) as card, pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        train_step(parts, batch)
    assert card.num_failures == len(ladder(16)) and parts.memory.plan.name == "8"
    after = {name: value for name, value in _state(parts).items() if not name.startswith("gradient")}
    _same(after, {name: value for name, value in before.items() if not name.startswith("gradient")})
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_a_plan_that_was_asked_for_is_kept_and_off_is_off() -> None:
    for name in ("off", "checkpoint", "2"):
        memory = StepMemory.from_config(tiny_config(SOLVER={"MEMORY_PLAN": name}), world_size=1)
        assert memory.plan.name == {"off": "plain"}.get(name, name) and memory.below(16) is None
    assert StepMemory.from_config(tiny_config(), world_size=1).below(16) == plan_named("checkpoint")
    assert StepMemory.from_config(tiny_config(), world_size=2).below(16) is None


def test_other_errors_pass_and_are_not_tried_again() -> None:
    parts = replace(_parts("drops out", "plain"), memory=StepMemory(may_step_down=True))
    calls = []

    def fail(*_: Any) -> None:
        calls.append(1)
        raise RuntimeError("shapes differ")

    parts.model.backbone.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        train_step(parts, next(_batches(parts)))
    assert calls == [1] and parts.memory.plan.name == "plain"


@pytest.mark.parametrize("plan", ["checkpoint", "2"])
def test_gradients_reach_the_weights_through_half_precision(plan: str) -> None:
    """Casts made without a graph must not be used again with one."""
    plain, other = (_parts("OSNet", name, AMP={"ENABLED": True, "DTYPE": "bf16"}) for name in ("plain", plan))
    expected, _ = _after_steps(plain, 1)
    found, _ = _after_steps(other, 1)
    names = [name for name in expected if name.startswith("gradient backbone")]
    assert names and all(found[name].abs().sum() > 0 for name in names if expected[name].abs().sum() > 0)
    if plan == "checkpoint":
        _same(found, expected)


def test_a_frozen_backbone_trains_its_head_under_every_plan() -> None:
    for plan in ("checkpoint", "2"):
        parts = _parts("drops out", plan)
        parts.model.backbone.requires_grad_(False)
        parts.model.train()
        train_step(parts, next(_batches(parts)))
        assert all(p.grad is None for p in parts.model.backbone.parameters())
        assert parts.model.head.neck.weight.grad is not None


def test_identities_are_dealt_out_evenly() -> None:
    person_ids_B = torch.arange(8).repeat_interleave(4)[torch.randperm(32, generator=torch.Generator().manual_seed(0))]
    for num_parts in (2, 4):
        parts = shares(person_ids_B, num_parts)
        assert sorted(torch.cat(parts).tolist()) == list(range(32))
        for rows in parts:
            assert person_ids_B[rows].bincount(minlength=8).tolist() == [4 // num_parts] * 8
    sizes = [len(rows) for rows in shares(person_ids_B[:30], 4)]
    assert sizes == [8, 8, 7, 7]


class _Overwrites(nn.Module):
    """Its second part begins by overwriting its input, so computing it again would begin from another."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.SiLU(), nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)
        )
        self.second = nn.Sequential(nn.SiLU(inplace=True), nn.Conv2d(8, 8, 3, padding=1), nn.SiLU(), nn.BatchNorm2d(8), nn.SiLU())

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.second(self.first(images))
        return found


def test_a_part_that_overwrites_its_input_is_never_recomputed() -> None:
    model = nn.ModuleDict({"backbone": _Overwrites()})
    images = torch.randn(2, 3, 16, 16)
    memory, kept = measure_parts(model, lambda: model["backbone"](images))
    assert memory["backbone.second"].changes_its_input and not memory["backbone.first"].changes_its_input
    assert "backbone.second" not in cheapest_cut(model, memory, kept, root="backbone")


def test_the_cut_has_the_lowest_peak_of_all_sets_of_parts() -> None:
    """Against every antichain of a small tree."""
    model = nn.ModuleDict({"backbone": _DropsOut()})
    memory, kept = measure_parts(model, lambda: model["backbone"](torch.randn(2, 3, 32, 32)))
    stages = [f"backbone.stages.{number}" for number in range(5)]
    sets = [[stage for bit, stage in enumerate(stages) if mask >> bit & 1] for mask in range(32)]
    best = min(peak_bytes(names, memory, kept) for names in sets)
    chosen = cheapest_cut(model, memory, kept, root="backbone")
    assert chosen and peak_bytes(chosen, memory, kept) <= 1.1 * best


def test_what_is_counted_as_kept_is_what_recomputing_saves() -> None:
    parts = _parts("OSNet", "plain")
    parts.model.train()
    batch = next(_batches(parts))
    memory, kept = measure_parts(parts.model, lambda: parts.model.backbone_output(batch.images_BCHW))
    names = cheapest_cut(parts.model, memory, kept, root="backbone")
    held = []
    for recomputed_names in ((), names):
        gc.collect()
        with MemoryLimit(2**40, _held(parts)) as free, recomputed(parts.model, recomputed_names):
            before = free.live_bytes
            output = parts.model.backbone_output(batch.images_BCHW)
            held.append(free.live_bytes - before)
        del output
    inputs = kept - sum(memory[name].kept_bytes for name in names) + sum(memory[name].input_bytes for name in names)
    assert held[0] == pytest.approx(kept, rel=0.05)
    assert held[1] == pytest.approx(inputs, rel=0.1)


def test_the_model_is_as_before_after_recomputing() -> None:
    parts = _parts("drops out", "checkpoint")
    train_step(parts, next(_batches(parts)))
    assert all("forward" not in module.__dict__ for module in parts.model.modules())
    copy.deepcopy(parts.model)
