"""Recomputing changes nothing, and what is recomputed is the cheapest set of parts."""

import copy
import gc

import pytest
import torch
from torch import Tensor, nn

from tests.engine.memory_plan_desk import (
    DropsOut,
    after_steps,
    assert_same,
    batches_of,
    held_tensors,
    planned_parts,
)
from unplateau.engine.recomputing import cheapest_cut, measure_parts, peak_bytes, recomputed
from unplateau.engine.train_step import train_step
from unplateau.testing.memory_limit import MemoryLimit


@pytest.mark.parametrize("backbone", ["drops out", "OSNet", "transformer"])
def test_recomputing_changes_nothing_at_all(backbone: str) -> None:
    plain, recomputing = planned_parts(backbone, "plain"), planned_parts(backbone, "checkpoint")
    expected, expected_totals = after_steps(plain)
    found, totals = after_steps(recomputing)
    assert recomputing.memory.segments
    assert torch.equal(totals, expected_totals)
    assert_same(found, expected)


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
    model = nn.ModuleDict({"backbone": DropsOut()})
    memory, kept = measure_parts(model, lambda: model["backbone"](torch.randn(2, 3, 32, 32)))
    stages = [f"backbone.stages.{number}" for number in range(5)]
    sets = [[stage for bit, stage in enumerate(stages) if mask >> bit & 1] for mask in range(32)]
    best = min(peak_bytes(names, memory, kept) for names in sets)
    chosen = cheapest_cut(model, memory, kept, root="backbone")
    assert chosen and peak_bytes(chosen, memory, kept) <= 1.1 * best


def test_what_is_counted_as_kept_is_what_recomputing_saves() -> None:
    parts = planned_parts("OSNet", "plain")
    parts.model.train()
    batch = next(batches_of(parts))
    memory, kept = measure_parts(parts.model, lambda: parts.model.backbone_output(batch.images_BCHW))
    names = cheapest_cut(parts.model, memory, kept, root="backbone")
    held = []
    for recomputed_names in ((), names):
        gc.collect()
        with MemoryLimit(2**40, held_tensors(parts)) as free, recomputed(parts.model, recomputed_names):
            before = free.live_bytes
            output = parts.model.backbone_output(batch.images_BCHW)
            held.append(free.live_bytes - before)
        del output
    inputs = kept - sum(memory[name].kept_bytes for name in names) + sum(memory[name].input_bytes for name in names)
    assert held[0] == pytest.approx(kept, rel=0.05)
    assert held[1] == pytest.approx(inputs, rel=0.1)


def test_the_model_is_as_before_after_recomputing() -> None:
    parts = planned_parts("drops out", "checkpoint")
    train_step(parts, next(batches_of(parts)))
    assert all("forward" not in module.__dict__ for module in parts.model.modules())
    copy.deepcopy(parts.model)
