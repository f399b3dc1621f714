import pytest
import torch
from torch import nn

from unplateau.probes.loss_conflict import loss_conflict

from .reading import value


def test_cosine_and_ratio_are_those_of_the_gradients_themselves():
    torch.manual_seed(0)
    layer, other = nn.Linear(3, 4), nn.Linear(4, 2)
    hidden = layer(torch.randn(5, 3))
    parts = {"a": hidden.square().mean(), "b": other(hidden).sum()}
    found = loss_conflict(parts, list(layer.parameters()), scales={"a": 2.0})
    gradients = {}
    for name, scale in (("a", 2.0), ("b", 1.0)):
        layer.zero_grad()
        (scale * parts[name]).backward(retain_graph=True)
        gradients[name] = [x for p in layer.parameters() for x in p.grad.flatten().tolist()]
    norms = {name: sum(x * x for x in g) ** 0.5 for name, g in gradients.items()}
    dot = sum(x * y for x, y in zip(gradients["a"], gradients["b"], strict=True))
    assert value(found, "gradient_cosine", "a | b") == pytest.approx(dot / norms["a"] / norms["b"], rel=1e-4)
    assert value(found, "gradient_ratio", "a | b") == pytest.approx(norms["a"] / norms["b"], rel=1e-4)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_parts_that_agree_or_oppose_have_a_cosine_of_plus_or_minus_one(sign):
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    found = loss_conflict({"a": weight.square().sum(), "b": sign * 3 * weight.square().sum()}, [weight])
    assert value(found, "gradient_cosine", "a | b") == pytest.approx(sign)


def test_gradients_that_wait_for_the_step_are_left_alone_and_the_graph_survives():
    weight = nn.Parameter(torch.ones(2))
    weight.grad = torch.full((2,), 7.0)
    total = (weight**2).sum()
    loss_conflict({"a": total}, [weight])
    assert torch.equal(weight.grad, torch.full((2,), 7.0))
    total.backward()


def test_a_part_that_does_not_reach_the_shared_weights_has_no_cosine():
    weight, far = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    found = loss_conflict({"a": weight.sum(), "b": far.sum(), "measured only": torch.zeros(())}, [weight])
    assert value(found, "loss_gradient_norm", "b") == 0 and value(found, "gradient_cosine", "a | b") is None
    assert {m.group for m in found} == {"a", "b", "a | b"}
