import torch
from torch import nn

from unplateau.probes.optimizer_contents import optimizer_contents

from .reading import value


def test_an_optimiser_of_the_models_own_tensors_holds_all_of_them():
    model = nn.Linear(3, 2)
    found = optimizer_contents([torch.optim.Adam(model.parameters(), lr=0.25)], model.parameters())
    assert value(found, "parameters_held") == 1 and value(found, "foreign_tensors") == 0
    assert value(found, "highest_rate") == 0.25 and value(found, "optimizer_state_tensors") == 0


def test_an_optimiser_of_copies_holds_none_of_them():
    model = nn.Linear(3, 2)
    copies = [nn.Parameter(p.detach().clone()) for p in model.parameters()]
    found = optimizer_contents([torch.optim.Adam(copies)], model.parameters())
    assert value(found, "parameters_held") == 0 and value(found, "foreign_tensors") == 2


def test_state_appears_with_the_first_step_that_does_something():
    model = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    optimizer.step()  # no gradients: skips every tensor
    assert value(optimizer_contents([optimizer], model.parameters()), "optimizer_state_tensors") == 0
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert value(optimizer_contents([optimizer], model.parameters()), "optimizer_state_tensors") == 2


def test_frozen_parameters_need_not_be_held():
    model = nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    assert value(optimizer_contents([torch.optim.SGD([model.weight], lr=1)], model.parameters()), "parameters_held") == 1


def test_decay_and_epsilon_are_those_of_the_groups():
    model = nn.Linear(3, 2)
    adam = optimizer_contents([torch.optim.Adam(model.parameters(), eps=0.1, weight_decay=0.5)], model.parameters())
    assert value(adam, "highest_epsilon") == 0.1 and value(adam, "highest_decay") == 0.5
    assert value(adam, "decay_is_decoupled") == 0.0
    assert value(optimizer_contents([torch.optim.AdamW(model.parameters())], model.parameters()), "decay_is_decoupled") == 1.0
    sgd = optimizer_contents([torch.optim.SGD(model.parameters(), lr=1)], model.parameters())
    assert value(sgd, "highest_epsilon") == value(sgd, "highest_decay") == 0.0
