"""What batch normalisation uses while training, and whether its running statistics fit."""

import pytest
import torch
from torch import nn

from unplateau.probes.batch_norms import batch_norms

from .reading import value

IMAGES = 3 + 2 * torch.randn(32, 4, 6, 6, generator=torch.Generator().manual_seed(0))


def network(**settings) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(4, **settings)).train()


def test_a_layer_that_follows_its_batches_is_in_training_mode_and_near_them():
    model = network()
    for _ in range(100):
        model(IMAGES)
    found = batch_norms(model, lambda: model(IMAGES))
    assert value(found, "batch_norm_in_evaluation") == 0
    assert value(found, "running_mean_apart") < 0.01
    assert value(found, "running_std_ratio") == pytest.approx(1.0, abs=0.01)


def test_statistics_that_never_moved_are_as_far_as_the_plain_formula_says():
    model = network(momentum=0.0)
    found = batch_norms(model, lambda: model(IMAGES))
    mean_C, std_C = IMAGES.mean((0, 2, 3)), IMAGES.std((0, 2, 3), correction=0)
    assert value(found, "running_mean_apart") == pytest.approx(float((mean_C / std_C).median()), rel=0.1)
    assert value(found, "running_std_ratio") == pytest.approx(float((1 / std_C).median()), rel=0.1)


def test_statistics_that_somebody_multiplied_have_one_factor_in_all_channels():
    model, other = network(), network()
    for _ in range(100):
        model(IMAGES)
        other(IMAGES)
    model[0].running_var.mul_(4.0)
    other[0].running_var.mul_(torch.tensor([4.0, 1.0, 0.2, 9.0]))
    found, apart = (batch_norms(one, lambda one=one: one(IMAGES)) for one in (model, other))
    assert value(found, "running_std_factor") == pytest.approx(2.0, rel=0.02)
    assert value(found, "running_std_spread") < 0.02 < 0.5 < value(apart, "running_std_spread")


def test_a_layer_in_evaluation_mode_inside_a_training_step_is_seen():
    model = network()

    def in_evaluation(module, inputs):
        module[0].eval()

    model.register_forward_pre_hook(in_evaluation)
    assert value(batch_norms(model, lambda: model(IMAGES)), "batch_norm_in_evaluation") == 1


def test_statistics_are_compared_as_they_were_before_the_passes():
    model = network(momentum=1.0)
    found = batch_norms(model, lambda: [model(IMAGES) for _ in range(3)])
    assert value(found, "running_mean_apart") > 1


def test_a_model_without_batch_normalisation_gives_nothing_and_hooks_are_gone():
    assert batch_norms(nn.Linear(2, 2), lambda: None) == ()
    model = network()
    batch_norms(model, lambda: model(IMAGES))
    assert not model[0]._forward_pre_hooks
