"""Whether optimisers are set as configured, weight by weight."""

import pytest
import torch
from torch import nn

from unplateau.probes.optimizer_settings import optimizer_settings

from .reading import value


@pytest.fixture
def model():
    return nn.Sequential(nn.Linear(30, 10, bias=False), nn.Linear(10, 10, bias=False))


def adam(model, *, rates=(1e-3, 1e-3), **settings):
    groups = [{"params": list(layer.parameters()), "lr": rate} for layer, rate in zip(model, rates, strict=True)]
    return torch.optim.Adam(groups, **settings)


def compare(model, trained, configured):
    return optimizer_settings([trained], [configured], model.named_parameters())


def test_equal_settings_in_other_groups_agree(model):
    one_group = torch.optim.Adam(model.parameters(), lr=5e-4)
    assert value(compare(model, adam(model), one_group), "setting_differs") == 0


def test_a_common_factor_of_the_rate_is_the_schedules_business(model):
    assert value(compare(model, adam(model, rates=(1e-5, 1e-5)), adam(model)), "setting_differs") == 0


def test_a_group_at_rate_zero_is_found_with_its_share(model):
    found = compare(model, adam(model, rates=(1e-3, 0.0)), adam(model))
    assert value(found, "setting_trained", "rate") == 0
    assert value(found, "setting_differs", "rate") == pytest.approx(100 / 400)


@pytest.mark.parametrize(
    ("name", "settings", "wrong", "asked"),
    [
        ("momentum", {"betas": (0.0, 0.999)}, 0.0, 0.9),
        ("beta of squares", {"betas": (0.9, 0.5)}, 0.5, 0.999),
        ("eps", {"eps": 0.1}, 0.1, 1e-8),
        ("weight_decay", {"weight_decay": 0.5}, 0.5, 0.0),
        ("maximize", {"maximize": True}, 1.0, 0.0),
    ],
)
def test_each_setting_that_is_off_is_named_with_both_values(model, name, settings, wrong, asked):
    found = compare(model, adam(model, **settings), adam(model))
    assert value(found, "setting_trained", name) == pytest.approx(wrong)
    assert value(found, "setting_configured", name) == pytest.approx(asked)
    assert value(found, "setting_differs", name) == 1


def test_another_kind_of_optimiser_is_seen(model):
    found = compare(model, torch.optim.SGD(model.parameters(), lr=0.1), adam(model))
    assert value(found, "setting_trained", "is_adam") == 0


def test_rates_that_fall_from_layer_to_layer_count_by_tensors():
    layers = nn.Sequential(*[nn.Linear(2, 2, bias=False) for _ in range(5)], nn.Linear(2, 1000, bias=False))
    groups = [{"params": [p], "lr": 1e-3 * 0.5**n} for n, p in enumerate(reversed(list(layers.parameters())))]
    found = compare(layers, torch.optim.Adam(groups, lr=1e-3), torch.optim.Adam(layers.parameters(), lr=1e-3))
    assert value(found, "setting_differs", "rate") < 0.02
    assert value(found, "rates_far") == pytest.approx(4 / 6)
    assert value(found, "rate_furthest") == pytest.approx(1 / 32)
