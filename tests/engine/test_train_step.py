"""One step with a gradient scaler, as fp16 has it. The arithmetic of losses and optimisers is tested with each of them."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from unplateau.engine.loop import train
from unplateau.engine.parts import Parts
from unplateau.engine.precision import Precision
from unplateau.engine.stopping import Progress
from unplateau.engine.train_step import train_step
from unplateau.optim.schedules import Schedule
from unplateau.testing.tiny_problem import tiny_config, tiny_parts

CENTRES = ("CrossEntropyLoss", "TripletLoss", "CenterLoss")


def _scaled(parts: Parts, *, initial_scale: float = 1.0) -> Parts:
    """Training with a scaler and without half precision, which a CPU does not train in."""
    return replace(parts, precision=Precision("cpu", None, torch.amp.GradScaler("cpu", init_scale=initial_scale)))


@pytest.mark.parametrize("scale", [0.0, 0.0005])
def test_a_scaler_steps_with_a_centre_loss_of_any_weight(scale: float) -> None:
    losses: dict[str, Any] = {"NAME": CENTRES, "CENTER": {"SCALE": scale}}
    parts = _scaled(tiny_parts(config=tiny_config(MODEL={"LOSSES": losses})))
    before = [parameter.detach().clone() for parameter in parts.model.parameters()]
    train_step(parts, next(iter(parts.train_loader.epoch(1))))
    assert not all(torch.equal(old, new) for old, new in zip(before, parts.model.parameters(), strict=True))


def test_steps_a_scaler_leaves_out_are_counted_in_the_epochs_record() -> None:
    heavy = tiny_config(MODEL={"LOSSES": {"CE": {"SCALE": 1e3}}})
    parts = _scaled(tiny_parts(config=heavy), initial_scale=3e38)  # overflows, halves, and fits after a while
    schedule = Schedule.from_config(parts.config, parts.train_loader.steps_per_epoch)
    first, *others = [done.record for done in train(parts, Progress(schedule))]
    assert parts.precision.scaler is not None
    halved = round(torch.log2(torch.tensor(3e38 / parts.precision.scaler.get_scale(), dtype=torch.float64)).item())
    assert first.skipped_steps > 0
    assert first.skipped_steps + sum(record.skipped_steps for record in others) == halved
    assert "skipped_steps" not in first.measurements


def test_without_a_scaler_no_step_is_left_out() -> None:
    parts = tiny_parts()
    schedule = Schedule.from_config(parts.config, parts.train_loader.steps_per_epoch)
    assert [done.record.skipped_steps for done in train(parts, Progress(schedule))] == [0] * parts.config.SOLVER.MAX_EPOCH
