import pytest
import torch

from unplateau.probes.delivered_gradient import delivered_gradient, step_kept, step_over_rate

from .reading import value

FRESH = {"a": torch.tensor([[3.0, 0.0]]), "b": torch.tensor([4.0])}


def test_a_gradient_that_arrives_as_it_left_counts_one():
    found = delivered_gradient(FRESH, {name: g.clone() for name, g in FRESH.items()})
    assert value(found, "gradient_delivered") == 1.0
    assert value(found, "gradient_delivered_cosine") == pytest.approx(1.0)
    assert value(found, "gradient_rms") == pytest.approx((25 / 3) ** 0.5)


def test_clipping_shortens_it_and_keeps_its_direction():
    found = delivered_gradient(FRESH, {name: 1e-6 * g for name, g in FRESH.items()})
    assert value(found, "gradient_delivered") == pytest.approx(1e-6)
    assert value(found, "gradient_delivered_cosine") == pytest.approx(1.0)


def test_gradients_that_pile_up_are_longer_and_point_elsewhere():
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randn(50, generator=generator) for _ in range(6)]
    found = delivered_gradient({"w": batches[-1]}, {"w": torch.stack(batches).sum(0)})
    assert value(found, "gradient_delivered") > 1.5
    assert value(found, "gradient_delivered_cosine") < 0.8


def test_a_parameter_without_gradient_delivers_nothing():
    assert value(delivered_gradient(FRESH, {"a": FRESH["a"]}), "gradient_delivered") == pytest.approx(0.6)
    zero = delivered_gradient({"a": torch.zeros(3)}, {})
    assert value(zero, "gradient_delivered") is None and value(zero, "gradient_delivered_cosine") is None


def test_the_first_step_of_adam_is_one_rate_long_and_a_large_epsilon_makes_it_short():
    for eps, shortest, longest in ((1e-8, 0.99, 1.01), (10.0, 0.0, 0.11)):
        weight = torch.nn.Parameter(torch.zeros(4))
        optimizer = torch.optim.Adam([weight], lr=0.5, eps=eps)
        before = {"w": weight.detach().clone()}
        weight.grad = torch.tensor([1.0, -0.5, 0.1, -1.0])
        optimizer.step()
        found, _ = step_over_rate(before, {"w": weight.detach()}, rate=0.5)
        assert shortest <= found.value <= longest


def test_what_lay_there_before_explains_what_is_added_and_withheld_tensors_are_counted():
    fresh = {"a": torch.tensor([1.0, 0.0]), "b": torch.tensor([0.0, 3.0])}
    old = {"a": torch.tensor([0.0, 2.0]), "b": torch.tensor([1.0, 0.0])}
    found = delivered_gradient(fresh, {name: fresh[name] + old[name] for name in fresh}, old)
    assert value(found, "left_over_explains") == pytest.approx(1.0)
    assert value(found, "gradient_withheld") == 0
    found = delivered_gradient(fresh, {"a": fresh["a"]})
    assert value(found, "gradient_withheld") == pytest.approx(9 / 10)
    assert value(found, "left_over_explains") is None


def test_a_step_that_is_taken_back_is_not_kept():
    before, stepped = {"a": torch.zeros(4)}, {"a": torch.ones(4)}
    assert value(step_kept(before, stepped, stepped), "step_kept") == 1
    assert value(step_kept(before, stepped, {"a": torch.full((4,), 0.25)}), "step_kept") == pytest.approx(0.25)
    assert value(step_kept(before, before, before), "step_kept") is None


def test_what_is_added_is_compared_with_the_weights_it_was_added_to():
    fresh = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0, -1.0])}
    weights = {"a": torch.tensor([0.5, -2.0]), "b": torch.tensor([1.0, 4.0])}
    squares = delivered_gradient(fresh, {"a": fresh["a"], "b": fresh["b"] + 0.3 * weights["b"]}, weights=weights)
    assert value(squares, "gradient_added_along", "weights") == pytest.approx(1.0)
    assert 0 < value(squares, "gradient_added_along", "signs") < 0.9
    absolute = delivered_gradient(fresh, {"a": fresh["a"] + 0.3 * weights["a"].sign(), "b": fresh["b"]}, weights=weights)
    assert value(absolute, "gradient_added_along", "signs") == pytest.approx(1.0)
    nothing = delivered_gradient(fresh, {name: g.clone() for name, g in fresh.items()}, weights=weights)
    assert not [m for m in nothing if m.name == "gradient_added_along"]
