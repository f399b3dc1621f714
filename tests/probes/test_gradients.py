import math

import pytest
import torch
from torch import nn

from unplateau.probes.gradients import gradients

from .reading import value


def model_with_gradients():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model(torch.ones(2, 3)).square().sum().backward()
    return model


def test_norms_are_those_of_plain_sums():
    model = model_with_gradients()
    found = gradients(model.named_parameters())
    squares = [sum(g**2 for p in layer.parameters() for g in p.grad.flatten().tolist()) for layer in model]
    assert value(found, "gradient_norm", "0") == pytest.approx(squares[0] ** 0.5)
    assert value(found, "gradient_norm") == pytest.approx(sum(squares) ** 0.5)


def test_absent_and_not_finite_gradients_are_counted():
    model = model_with_gradients()
    model[0].bias.grad = None
    model[1].weight.grad[0, :2] = torch.tensor([math.nan, math.inf])
    found = gradients(model.named_parameters())
    assert value(found, "without_gradient", "0") == 1 and value(found, "gradient_not_finite", "1") == 2
    assert value(found, "gradient_not_finite") == 2


def test_frozen_parameters_are_left_out():
    model = model_with_gradients()
    model[0].requires_grad_(False)
    assert {m.group for m in gradients(model.named_parameters())} == {"", "1"}
