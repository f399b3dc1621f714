import torch
from torch import nn

from unplateau.probes.optimizer_age import optimizer_age

from .reading import values

GROUPS = {"body": ["0.weight", "0.bias"], "head": ["1.weight", "1.bias"]}


def trained(frozen_after=99, steps=10, kind=torch.optim.Adam):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    optimizer = kind(model.parameters(), lr=0.1)
    for number in range(steps):
        if number == frozen_after:
            model[0].requires_grad_(False)
            for parameter in model[0].parameters():
                parameter.grad = None
        optimizer.zero_grad()
        model(torch.ones(2, 3)).sum().backward()
        optimizer.step()
    return model, optimizer


def ages(model, optimizers, steps=10):
    found = values(optimizer_age(optimizers, model.named_parameters(), GROUPS, steps=steps))
    return {group: value for (_, group), value in found.items()}


def test_a_plain_training_has_updated_every_layer_in_every_step():
    model, optimizer = trained()
    assert ages(model, [optimizer]) == {"": 1.0, "body": 1.0, "head": 1.0}


def test_layers_that_were_frozen_for_a_while_have_had_fewer_updates():
    model, optimizer = trained(frozen_after=4)
    model[0].requires_grad_(True)
    assert ages(model, [optimizer]) == {"": 1.0, "body": 0.4, "head": 1.0}


def test_frozen_layers_are_left_out_and_an_optimiser_made_anew_is_young():
    model, optimizer = trained(frozen_after=4)
    assert ages(model, [optimizer]) == {"": 1.0, "head": 1.0}
    model, optimizer = trained(steps=3)
    assert ages(model, [optimizer])[""] == 0.3


def test_an_optimiser_that_does_not_count_says_nothing():
    model, optimizer = trained(kind=torch.optim.SGD)
    assert ages(model, [optimizer]) == {}
