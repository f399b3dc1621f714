"""The optimiser's updates beside those of the configured one, on a small network trained by plain loops."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from unplateau.probes.update_formula import Twin, updates_apart

from .reading import values

RATE = 0.01
X, Y = torch.randn(64, 5, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 3


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))


def measured(own, configured, *, post=None):
    """Four steps of a training with the optimiser `own` gives, where the configuration asks for `configured`."""
    model = network()
    optimizer = own(model.parameters())
    if post is not None:
        optimizer.register_step_post_hook(post)

    def step():
        optimizer.zero_grad()
        F.cross_entropy(model(X), Y).backward()
        optimizer.step()

    twin = Twin(model, lambda copied: [configured(copied.parameters())])
    return values(updates_apart(dict(model.named_parameters()), [optimizer], twin, [step] * 4, rate=RATE))


def adam(parameters, **settings):
    return torch.optim.Adam(parameters, lr=RATE, **settings)


def sgd(parameters, **settings):
    return torch.optim.SGD(parameters, lr=RATE, **{"momentum": 0.9, **settings})


class WithoutCorrection(torch.optim.Optimizer):
    """Adam without the correction of its moments' start at zero."""

    def __init__(self, parameters):
        super().__init__(parameters, {"lr": RATE, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure=None):
        for parameter in self.param_groups[0]["params"]:
            state = self.state[parameter]
            first, second = state.get("first", 0.0), state.get("second", 0.0)
            state["first"] = 0.9 * first + 0.1 * parameter.grad
            state["second"] = 0.999 * second + 0.001 * parameter.grad.square()
            parameter -= self.param_groups[0]["lr"] * state["first"] / (state["second"].sqrt() + 1e-8)


@pytest.mark.parametrize(("own", "configured"), [(adam, adam), (sgd, sgd), (lambda p: adam(p, foreach=False), adam)])
def test_the_same_formula_goes_the_same_way(own, configured):
    found = measured(own, configured)
    assert found["update_cosine", ""] == pytest.approx(1.0, abs=1e-6)
    assert found["update_ratio", ""] == pytest.approx(1.0, abs=1e-4)


def test_the_measure_is_that_of_two_trainings_side_by_side():
    """Slow oracle: SGD with and without momentum, each weight's way added up by hand."""
    model = network()
    gradients, ways = [], {"own": [], "configured": []}
    velocity = [torch.zeros_like(p) for p in model.parameters()]
    for _ in range(4):
        grads = torch.autograd.grad(F.cross_entropy(model(X), Y), list(model.parameters()))
        gradients.append(grads)
        velocity = [0.9 * v + g for v, g in zip(velocity, grads, strict=True)]
        ways["own"].append(torch.cat([(-RATE * g).flatten() for g in grads]))
        ways["configured"].append(torch.cat([(-RATE * v).flatten() for v in velocity]))
        with torch.no_grad():
            for parameter, gradient in zip(model.parameters(), grads, strict=True):
                parameter -= RATE * gradient
    own, configured = torch.cat(ways["own"]).double(), torch.cat(ways["configured"]).double()
    found = measured(lambda p: sgd(p, momentum=0.0), sgd)
    assert found["update_ratio", ""] == pytest.approx(float(own.norm() / configured.norm()), rel=1e-4)
    assert found["update_cosine", ""] == pytest.approx(float(own @ configured / own.norm() / configured.norm()), abs=1e-5)


def test_adam_without_its_correction_is_another_formula():
    assert measured(WithoutCorrection, adam)["update_ratio", ""] > 2.5


def test_moments_that_somebody_changes_after_the_step_show_in_the_next():
    def keep(optimizer, *_):
        for state in optimizer.state.values():
            state["exp_avg"].div_(1 - 0.9 ** float(state["step"]))

    assert abs(measured(adam, adam, post=keep)["update_ratio", ""] - 1) > 0.5


def test_updates_that_are_no_numbers_are_told_as_another_way():
    def spoil(optimizer, *_):
        for state in optimizer.state.values():
            state["exp_avg_sq"].fill_(float("nan"))

    assert measured(adam, adam, post=spoil) == {("update_cosine", ""): 0.0}


def test_weights_that_something_else_writes_are_no_update():
    model = network()
    optimizer = adam(model.parameters())
    optimizer.register_step_post_hook(lambda *_: [p.data.mul_(0.5) for p in model.parameters()])
    before = copy.deepcopy(model.state_dict())

    def step():
        optimizer.zero_grad()
        F.cross_entropy(model(X), Y).backward()
        optimizer.step()

    twin = Twin(model, lambda copied: [adam(copied.parameters())])
    found = values(updates_apart(dict(model.named_parameters()), [optimizer], twin, [step] * 3, rate=RATE))
    assert found["update_ratio", ""] == pytest.approx(1.0, abs=1e-4)
    assert not torch.equal(before["0.weight"], model.state_dict()["0.weight"])


def test_steps_without_an_update_say_nothing():
    model = network()
    twin = Twin(model, lambda copied: [adam(copied.parameters())])
    assert updates_apart(dict(model.named_parameters()), [adam(model.parameters())], twin, [lambda: None] * 3, rate=RATE) == ()
