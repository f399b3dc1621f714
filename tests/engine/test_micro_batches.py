"""A step in parts: its gradients are those of one graph that holds them all."""

import pytest
import torch
from torch import Tensor, nn

from tests.engine.memory_plan_desk import after_steps, assert_close, batches_of, planned_parts, state_of
from unplateau.data.loader import Batch
from unplateau.engine.micro_batches import shares
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import train_step


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
    whole, parted = planned_parts(backbone, "plain"), planned_parts(backbone, str(num_parts))
    batch = next(batches_of(whole))
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
    assert_close(state_of(parted), state_of(whole), 2e-5)


def test_micro_batches_of_a_backbone_without_batch_statistics_are_the_plain_step() -> None:
    plain, parted = planned_parts("calm transformer", "plain"), planned_parts("calm transformer", "4")
    expected, _ = after_steps(plain, 1)
    found, _ = after_steps(parted, 1)
    assert_close(found, expected, 2e-5)


def test_identities_are_dealt_out_evenly() -> None:
    person_ids_B = torch.arange(8).repeat_interleave(4)[torch.randperm(32, generator=torch.Generator().manual_seed(0))]
    for num_parts in (2, 4):
        parts = shares(person_ids_B, num_parts)
        assert sorted(torch.cat(parts).tolist()) == list(range(32))
        for rows in parts:
            assert person_ids_B[rows].bincount(minlength=8).tolist() == [4 // num_parts] * 8
    sizes = [len(rows) for rows in shares(person_ids_B[:30], 4)]
    assert sizes == [8, 8, 7, 7]
