import copy

import pytest
import torch
from torch import nn

from unplateau.base.errors import ConfigError
from unplateau.config.schema import Config
from unplateau.losses.build import build_losses
from unplateau.optim.build import build_optimizers

SOLVER = {
    "BASE_LR": 1e-2,
    "HEADS_LR_FACTOR": 10.0,
    "BIAS_LR_FACTOR": 2.0,
    "WEIGHT_DECAY": 1e-3,
    "WEIGHT_DECAY_NORM": 2e-3,
    "WEIGHT_DECAY_BIAS": 3e-3,
}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 5))
        self.backbone.add_module("head", nn.Linear(5, 5))  # a backbone's own head is no head of the model
        self.head = nn.ModuleDict({"neck": nn.BatchNorm1d(5), "classifier": nn.Linear(5, 3, bias=False)})

    def forward(self, x):
        return self.head["classifier"](self.head["neck"](self.backbone(x)))


def config(losses=None, **solver):
    return Config.model_validate({"SOLVER": {**SOLVER, **solver}, "MODEL": {"LOSSES": losses or {}}})


def losses_of(settings):
    return build_losses(settings, num_identities=3, feature_dim=5)


def optimizers(settings, model):
    return build_optimizers(settings, model, losses_of(settings))


def test_every_parameter_gets_the_rate_and_decay_of_its_kind():
    model = Net()
    (main,) = optimizers(config(), model)
    found = {id(p): (group["factor"], group["weight_decay"]) for group in main.param_groups for p in group["params"]}
    expected = {
        "backbone.0.weight": (1, 1e-3),
        "backbone.0.bias": (2, 3e-3),
        "backbone.1.weight": (1, 2e-3),
        "backbone.1.bias": (2, 3e-3),
        "backbone.2.weight": (1, 1e-3),
        "backbone.2.bias": (2, 3e-3),
        "backbone.head.weight": (1, 1e-3),
        "backbone.head.bias": (2, 3e-3),
        "head.neck.weight": (10, 2e-3),
        "head.neck.bias": (20, 3e-3),
        "head.classifier.weight": (10, 1e-3),
    }
    assert {name: found[id(p)] for name, p in model.named_parameters()} == expected
    assert all(group["lr"] == pytest.approx(1e-2 * group["factor"]) for group in main.param_groups)


def test_each_parameter_is_in_exactly_one_of_few_groups():
    model = Net()
    (main,) = optimizers(config(), model)
    held = [id(p) for group in main.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    (plain,) = optimizers(Config(), model)
    assert len(plain.param_groups) == 1


def test_frozen_parameters_are_left_out():
    model = Net()
    model.backbone.requires_grad_(False)
    (main,) = optimizers(config(), model)
    assert sum(len(group["params"]) for group in main.param_groups) == 3


def test_a_model_with_nothing_to_train_is_refused():
    with pytest.raises(ConfigError, match="frozen"):
        optimizers(config(), Net().requires_grad_(False))


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(ConfigError, match="MOMENTUM"):
        optimizers(config(OPT="SGD", NESTEROV=True, MOMENTUM=0.0), Net())


def test_centres_are_trained_apart_at_a_rate_of_their_own():
    settings = config({"NAME": ("CrossEntropyLoss", "CenterLoss"), "CENTER": {"LR": 0.25}})
    losses = losses_of(settings)
    main, centers = build_optimizers(settings, Net(), losses)
    (group,) = centers.param_groups
    assert group["fixed_lr"] == group["lr"] == 0.25 and group["params"][0] is losses.terms["center"].centers_ID
    assert all(p is not group["params"][0] for other in main.param_groups for p in other["params"])


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "SGD"])
def test_every_optimiser_moves_every_weight_and_repeats_itself_to_the_bit(kind):
    results = []
    start = Net()
    for _ in range(2):
        model = copy.deepcopy(start)
        (main,) = optimizers(config(OPT=kind), model)
        for step in range(3):
            main.zero_grad()
            model(torch.randn(8, 4, generator=torch.Generator().manual_seed(step))).square().sum().backward()
            main.step()
        results.append([p.detach() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert all(not torch.equal(a, b) for a, b in zip(results[0], start.parameters(), strict=True))


@pytest.mark.parametrize(("kind", "plain"), [("Adam", torch.optim.Adam), ("AdamW", torch.optim.AdamW), ("SGD", torch.optim.SGD)])
def test_the_grouped_optimiser_does_what_a_plain_one_does_parameter_by_parameter(kind, plain):
    first = Net()
    second = copy.deepcopy(first)
    (main,) = optimizers(config(OPT=kind), first)
    by_name = {id(p): g for g in main.param_groups for p in g["params"]}
    extra = {"momentum": 0.9} if kind == "SGD" else {}
    single = [
        plain([q], lr=by_name[id(p)]["lr"], weight_decay=by_name[id(p)]["weight_decay"], foreach=False, **extra)
        for p, q in zip(first.parameters(), second.parameters(), strict=True)
    ]
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        for p, q in zip(first.parameters(), second.parameters(), strict=True):
            p.grad = torch.randn(p.shape, generator=generator)
            q.grad = p.grad.clone()
        for optimizer in (main, *single):
            optimizer.step()
    for p, q in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-6)
