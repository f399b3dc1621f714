import pytest
import torch
from torch import nn

from unplateau.probes.dead_units import dead_units, zero_weights

from .reading import value, values


def test_channels_that_are_zero_on_all_images_are_dead():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5), nn.ReLU())
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor([9.0, -99.0, -99.0, 9.0]))
        model[3].weight.zero_()
        model[3].bias.copy_(torch.tensor([1.0, 1.0, 1.0, 1.0, -1.0]))
    images = torch.randn(6, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    found = dead_units(model, lambda: model(images))
    assert values(found) == {
        ("dead_units", ""): 0.5, ("dead_units", "1"): 0.5, ("dead_units", "4"): 1 - torch.tensor(0.8).item(),
    }  # fmt: skip


def test_a_unit_alive_in_one_of_several_batches_is_alive():
    model = nn.Sequential(nn.ReLU())
    found = dead_units(model, lambda: [model(torch.tensor([[1.0, -1.0, -1.0]])), model(torch.tensor([[-1.0, 1.0, -1.0]]))])
    assert abs(value(found, "dead_units", "0") - 1 / 3) < 1e-6


def test_no_hook_stays_behind_even_after_an_error():
    model = nn.Sequential(nn.ReLU())
    with pytest.raises(ZeroDivisionError):
        dead_units(model, lambda: 1 / 0)
    assert not model[0]._forward_hooks


def test_a_model_without_rectifiers_gives_no_number_and_says_why():
    (found,) = dead_units(nn.Linear(2, 2), lambda: None)
    assert found.value is None and "no rectifier" in found.note


def test_weights_that_are_exactly_zero_are_counted_and_biases_are_not():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 5))
    assert value(zero_weights(model), "zero_weights") == 0
    with torch.no_grad():
        model[0].weight.zero_()
    assert value(zero_weights(model), "zero_weights") == pytest.approx(108 / (108 + 20))
