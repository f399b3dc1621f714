import sys
import types

import pytest
import torch
from torch import nn

from unplateau.base.errors import ConfigError
from unplateau.config.schema import Config
from unplateau.losses.build import build_losses


def config(**settings):
    return Config.model_validate({"MODEL": {"LOSSES": settings}})


def build(settings):
    return build_losses(settings, num_identities=4, feature_dim=3)


@pytest.fixture
def own_module(monkeypatch):
    module = types.ModuleType("own_losses")
    module.pull = lambda features, logits, ids: features.square().mean()
    module.wrong = lambda features, logits, ids: features
    module.number = 3

    class Learned(nn.Module):
        def __init__(self, *, num_identities, feature_dim):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(num_identities, feature_dim))

        def forward(self, features, logits, ids):
            return (features * self.weight[ids]).mean()

    module.Learned = Learned
    monkeypatch.setitem(sys.modules, "own_losses", module)


def test_the_total_is_the_weighted_sum_and_the_parts_are_unweighted():
    module = build(config(NAME=("CrossEntropyLoss", "TripletLoss"), CE={"SCALE": 0.3}, TRI={"SCALE": 2.0}))
    generator = torch.Generator().manual_seed(0)
    terms = module(torch.randn(8, 3, generator=generator), torch.randn(8, 4, generator=generator), torch.arange(8) // 2)
    assert list(terms.parts) == ["cross_entropy", "triplet"]
    torch.testing.assert_close(terms.total, 0.3 * terms.parts["cross_entropy"] + 2.0 * terms.parts["triplet"])


def test_the_users_own_function_is_a_loss_under_its_name(own_module):
    module = build(config(NAME=("CrossEntropyLoss", "own_losses:pull")))
    terms = module(torch.full((4, 3), 2.0), torch.zeros(4, 4), torch.arange(4))
    assert terms.parts["pull"].item() == 4.0


def test_the_users_own_module_brings_its_parameters(own_module):
    module = build(config(NAME=("own_losses:Learned",)))
    assert [tuple(p.shape) for p in module.parameters()] == [(4, 3)]


def test_an_own_loss_that_is_no_scalar_is_refused(own_module):
    with pytest.raises(ConfigError, match=r"shape \(4, 3\).*0-d"):
        build(config(NAME=("own_losses:wrong",)))(torch.zeros(4, 3), None, torch.arange(4))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"NAME": ("TripletLos",)}, "no loss TripletLos.*Known: CrossEntropyLoss"),
        ({"NAME": ("TripletLoss", "TripletLoss")}, "lists triplet twice"),
        ({"NAME": ("TripletLoss",), "TRI": {"SCALE": 0.0}}, "nothing would be minimised"),
        ({"NAME": ()}, "nothing would be minimised"),
        ({"NAME": ("no_such_module:f",)}, "no module"),
        ({"NAME": ("own_losses:absent",)}, "no function"),
        ({"NAME": ("own_losses:number",)}, "no function"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_reason(own_module, settings, words):
    with pytest.raises(ConfigError, match=words):
        build(config(**settings))
