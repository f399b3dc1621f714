import pytest
import torch
from torch import nn
from torch.nn import functional as F

from unplateau.probes.layer_groups import by_layer
from unplateau.probes.numeric_gradient import numeric_gradient

from .reading import value, values

IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
APART, RATIO = "gradient_numeric_apart", "gradient_numeric_ratio"


class Shrunk(torch.autograd.Function):
    """A backward function with a forgotten factor."""

    @staticmethod
    def forward(ctx, maps):
        return maps.clone()

    @staticmethod
    def backward(ctx, gradient):
        return 0.01 * gradient


def network(behind_second=None):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
        nn.Sequential(nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.ReLU()),
        nn.Sequential(nn.Flatten(), nn.Linear(80, 7)),
    )
    if behind_second is not None:
        model[1].register_forward_hook(lambda module, inputs, output: behind_second(output))
    return model


def checked(model, forward=lambda model: [model(IMAGES.double())]):
    return numeric_gradient(model, forward, by_layer(name for name, _ in model.named_parameters()))


def says_nothing(found):
    return set(values(found)) == {(APART, "")} and value(found, APART) < 1e-4


def groups_apart(found):
    return {group for (name, group), apart in values(found).items() if name == APART and group and apart > 0.2}


def test_the_gradient_of_a_plain_network_is_its_slope():
    assert says_nothing(checked(network()))


def test_the_layers_below_a_detached_map_have_a_gradient_of_nothing_and_those_above_the_right_one():
    found = checked(network(lambda maps: maps.detach()))
    assert groups_apart(found) == {"0.0", "0.1", "1.0", "1.1"}
    assert value(found, APART, "0.0") == 1.0
    assert value(found, RATIO, "0.0") == 0.0
    assert value(found, RATIO, "2.1") == pytest.approx(1.0)


def test_a_product_of_which_one_factor_is_detached_is_seen():
    found = checked(network(lambda maps: maps.detach() * maps.mean(1, keepdim=True).sigmoid()))
    assert groups_apart(found) == {"0.0", "0.1", "1.0", "1.1"}
    assert all(value(found, RATIO, group) != 0 for group in groups_apart(found))


def test_a_factor_of_a_backward_function_is_measured():
    found = checked(network(Shrunk.apply))
    assert value(found, RATIO, "0.0") == pytest.approx(0.01, rel=1e-4)
    assert value(found, RATIO, "1.1") == pytest.approx(0.01, rel=1e-4)


def test_weights_read_past_autograd_are_seen_in_their_layer_alone():
    model = network()
    model[1][0].register_forward_hook(lambda module, inputs, output: F.conv2d(inputs[0], module.weight.data))
    assert groups_apart(checked(model)) == {"1.0"}


def test_the_slope_is_that_of_a_slow_loop_over_every_weight():
    """All partial derivatives, one weight at a time, of a network with one layer cut off; the ratio along any direction is theirs."""
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    model[0].register_forward_hook(lambda module, inputs, output: 0.25 * output + 0.75 * output.detach())
    rows, v = torch.randn(6, 5).double(), torch.randn(6, 3).double()
    found = numeric_gradient(model, lambda model: [model(rows)], {"first": ["0.weight", "0.bias"], "last": ["2.weight"]})
    weight = model[0].weight
    (v * model(rows)).sum().backward()
    slow = torch.zeros_like(weight)
    with torch.no_grad():
        for place in range(weight.numel()):
            ends = []
            for move in (1e-6, -2e-6):
                weight.view(-1)[place] += move
                ends.append(float((v * model(rows)).sum()))
            weight.view(-1)[place] += 1e-6
            slow.view(-1)[place] = (ends[0] - ends[1]) / 2e-6
    oracle = weight.grad / slow
    assert oracle == pytest.approx(torch.full_like(oracle, 0.25), rel=1e-4)
    assert value(found, RATIO, "first") == pytest.approx(0.25, rel=1e-4)
    assert value(found, RATIO, "last") == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize(
    "behind",
    [
        lambda maps: F.dropout(maps, 0.5),
        lambda maps: maps.float().clamp(min=1e-6).pow(3.0).to(torch.float32),
        lambda maps: maps * torch.ones(5)[:, None, None],
        lambda maps: (16 * maps).round() / 16,
        lambda maps: F.normalize(maps) * maps.abs().amax((2, 3), keepdim=True),
        lambda maps: maps + (torch.rand(len(maps), 1, 1, 1) < 0.7) * maps.square(),
    ],
    ids=["dropout", "casts", "tensors made on the way", "steps without a slope", "ridges", "stochastic depth"],
)
def test_what_healthy_networks_do_on_their_way_is_no_difference(behind):
    assert says_nothing(checked(network(behind)))


def test_a_residual_branch_that_begins_with_zeros_stands_in_no_kink():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.branch, self.norm = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
            nn.init.zeros_(self.norm.weight)

        def forward(self, images):
            maps = self.stem(images).relu()
            return (maps + self.norm(self.branch(maps))).relu().flatten(1)

    torch.manual_seed(0)
    assert says_nothing(checked(Residual()))


def test_frozen_weights_are_not_checked():
    model = network(lambda maps: maps.detach())
    for part in (model[0], model[1]):
        part.requires_grad_(False)
    assert says_nothing(checked(model))
    assert checked(model.requires_grad_(False)) == ()


def test_layers_whose_outputs_are_not_used_are_no_difference():
    model = network(lambda maps: torch.ones_like(maps))
    assert says_nothing(checked(model))


def test_a_model_that_counts_its_passes_says_that_it_cannot_be_measured():
    passes = []

    def behind(maps):
        passes.append(0)
        return maps * len(passes)

    with pytest.raises(RuntimeError, match="differ"):
        checked(network(behind))


def test_buffers_that_every_pass_moves_are_put_back_before_the_next():
    model = network()
    model[1][1].register_forward_hook(lambda module, inputs, output: output / module.num_batches_tracked)
    assert says_nothing(checked(model))


def test_the_model_and_all_random_states_stay_as_they_were():
    model = network(lambda maps: F.dropout(maps, 0.5))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    draws, usual = torch.get_rng_state(), torch.get_default_dtype()
    checked(model)
    assert torch.equal(torch.get_rng_state(), draws)
    assert torch.get_default_dtype() == usual
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
