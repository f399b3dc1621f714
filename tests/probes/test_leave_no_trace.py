import copy
import random

import numpy
import pytest
import torch
from torch import nn

from unplateau.probes.leave_no_trace import untouched


def problem():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))
    model[3].eval()
    return model, torch.optim.Adam(model.parameters(), lr=0.1)


def train(model, optimizer, steps=3):
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(torch.randn(8, 4)).square().mean() + random.random() + numpy.random.random()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def state(model, optimizer):
    return copy.deepcopy(
        {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "gradients": [p.grad for p in model.parameters()],
            "modes": [m.training for m in model.modules()],
            "trained": [p.requires_grad for p in model.parameters()],
            "random": (torch.get_rng_state(), random.getstate()),
        }
    )


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize("steps_before", [0, 2])
def test_everything_is_as_it_was_to_the_bit(steps_before):
    model, optimizer = problem()
    train(model, optimizer, steps_before)
    before = state(model, optimizer)
    with untouched([model], [optimizer]):
        model.train()
        model[0].requires_grad_(False)
        optimizer.param_groups[0]["lr"] = 9.0
        train(model, optimizer)
    assert same(state(model, optimizer), before)


def test_training_goes_on_as_if_nothing_had_been_probed():
    torch.manual_seed(1)
    random.seed(1)
    numpy.random.seed(1)
    model, optimizer = problem()
    train(model, optimizer)
    plain = train(model, optimizer)
    random.seed(1)
    numpy.random.seed(1)
    model, optimizer = problem()
    train(model, optimizer)
    with untouched([model], [optimizer]):
        train(model, optimizer, 5)
    assert train(model, optimizer) == plain


def test_an_error_inside_leaves_no_trace_either():
    model, optimizer = problem()
    before = state(model, optimizer)
    with pytest.raises(ZeroDivisionError), untouched([model], [optimizer]):
        train(model, optimizer)
        _ = 1 / 0
    assert same(state(model, optimizer), before)
