import pytest
import torch

from unplateau.engine.train_step import train_step
from unplateau.testing import faults
from unplateau.testing.tiny_problem import tiny_config, tiny_parts


def run(parts, epochs=1):
    before = faults.weights_of(parts)
    losses = [
        float(train_step(parts, batch).total) for epoch in range(1, epochs + 1) for batch in parts.train_loader.epoch(epoch)
    ]
    after = faults.weights_of(parts)
    return {name for name in before if not torch.equal(before[name], after[name])}, losses


@pytest.mark.parametrize("kind", ["Adam", "SGD"])
@pytest.mark.parametrize("inject", [faults.stale_optimizer, faults.optimizer_of_copies])
def test_a_stale_optimiser_never_moves_a_weight_though_gradients_are_there(inject, kind):
    parts = inject(tiny_parts(config=tiny_config(SOLVER={"OPT": kind})))
    moved, _ = run(parts)
    assert moved == set()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in parts.model.backbone.parameters())
    assert sum(len(optimizer.state) for optimizer in parts.optimizers) == 0


def test_flat_buffers_would_move_the_weights_if_their_gradient_were_still_bound():
    parts = faults.stale_optimizer(tiny_parts(config=tiny_config(SOLVER={"OPT": "SGD"})))
    before = faults.weights_of(parts)
    for group in parts.optimizers[0].param_groups:
        group["params"][0].grad = torch.ones_like(group["params"][0])
    parts.optimizers[0].step()
    assert all(not torch.equal(p, before[name]) for name, p in parts.model.named_parameters() if p.requires_grad)


@pytest.mark.parametrize("inject", [faults.frozen_backbone, faults.detached_backbone])
def test_only_the_head_moves_where_the_backbone_is_cut_off(inject):
    moved, _ = run(inject(tiny_parts()))
    assert moved and all(name.startswith("head") for name in moved)


@pytest.mark.parametrize("inject", [faults.blank_images, faults.softmax_before_cross_entropy])
def test_faults_of_inputs_and_head_keep_the_loss_above_the_healthy_one(inject):
    _, healthy = run(tiny_parts(), epochs=8)
    _, faulty = run(inject(tiny_parts()), epochs=8)
    assert faulty[-1] > 10 * healthy[-1]


def test_labels_off_by_one_leave_the_classifiers_range():
    parts = faults.labels_off_by_one(tiny_parts())
    highest = max(int(batch.person_ids_B.max()) for batch in parts.train_loader.epoch(1))
    assert highest == parts.train_loader.num_identities


def test_images_on_the_wrong_scale_are_far_from_zero():
    parts = faults.unnormalised_images(tiny_parts())
    assert next(iter(parts.train_loader.epoch(1))).images_BCHW.mean() > 50


def test_every_fault_has_a_name_of_its_own_and_an_acceptable_cause():
    assert len({fault.name for fault in faults.FAULTS}) == len(faults.FAULTS)
    assert all(fault.causes and fault.inject.__name__ == fault.name for fault in faults.FAULTS)
