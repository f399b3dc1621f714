"""Small trainings under a memory plan, and their whole state."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from unplateau.data.loader import Batch
from unplateau.engine.memory_plan import StepMemory, plan_named
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import train_step
from unplateau.testing.tiny_problem import tiny_config, tiny_parts, tiny_problem

BACKBONES: dict[str, dict[str, Any]] = {
    "drops out": {"NAME": "tests.engine.memory_plan_desk:backbone_that_drops_out"},
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


class DropsOut(nn.Module):
    num_features = 24

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.Sequential(_Stage(3, 16, 2), _Stage(16, 24, 1), _Stage(24, 24, 1), _Stage(24, 24, 1), _Stage(24, 24, 2))

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.stages(images)
        return found


def backbone_that_drops_out() -> nn.Module:
    return DropsOut()


def planned_parts(backbone: str, plan: str, *, batch_size: int = 16, **solver: Any) -> Parts:
    model = {"BACKBONE": BACKBONES[backbone]}
    sizes = {"SIZE_TRAIN": SIZE, "SIZE_TEST": SIZE}
    config = tiny_config(MODEL=model, INPUT=sizes, SOLVER={"IMS_PER_BATCH": batch_size, "OPT": "SGD", "BASE_LR": 0.1, **solver})
    problem = tiny_problem()
    problem = replace(problem, images_NCHW=nn.functional.interpolate(problem.images_NCHW, size=SIZE))
    return replace(tiny_parts(problem, config), memory=StepMemory(plan_named(plan)))


def batches_of(parts: Parts) -> Iterator[Batch]:
    epoch = 1
    while True:
        yield from parts.train_loader.epoch(epoch)
        epoch += 1


def state_of(parts: Parts) -> dict[str, Tensor]:
    found = {**parts.model.state_dict(), **{f"gradient {name}": p.grad for name, p in parts.model.named_parameters()}}
    for number, optimizer in enumerate(parts.optimizers):
        for row, values in optimizer.state_dict()["state"].items():
            found |= {f"optimiser {number} {row} {name}": value for name, value in values.items()}
    return {name: value.clone() for name, value in found.items() if isinstance(value, Tensor)}


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    differing = [name for name in first if not torch.equal(first[name], second[name])]
    assert not differing


def assert_close(first: dict[str, Tensor], second: dict[str, Tensor], tolerance: float) -> None:
    assert first.keys() == second.keys()
    for name, one in first.items():
        scale = max(float(one.abs().max()), 1e-3) if one.is_floating_point() else 1.0
        torch.testing.assert_close(
            one, second[name], atol=tolerance * scale, rtol=0, msg=lambda text, name=name: f"{name}: {text}"
        )


def after_steps(parts: Parts, num_steps: int = 2) -> tuple[dict[str, Tensor], Tensor]:
    parts.model.train()
    torch.manual_seed(3)
    batches = batches_of(parts)
    totals = [train_step(parts, next(batches)).total for _ in range(num_steps)]
    return state_of(parts), torch.stack([*totals, torch.rand(())])  # what is drawn next is part of a step


def held_tensors(parts: Parts) -> list[Tensor]:
    return [*parts.model.parameters(), *parts.model.buffers(), parts.train_loader.problem.images_NCHW]  # type: ignore[attr-defined]
