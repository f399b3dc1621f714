import pytest
import torch
from torch import nn
from torch.nn import functional as F

from unplateau.probes.layer_groups import by_layer
from unplateau.probes.numeric_gradient import numeric_gradient

from .reading import value, values

IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
APART, ALONG, SILENT = "slope_apart", "slope_along_gradient", "slope_without_gradient"


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


def off(found):
    return {group for (name, group), ratio in values(found).items() if name == ALONG and not 0.99 < ratio < 1.01}


def silent(found):
    return {group for (name, group), slope in values(found).items() if name == SILENT and slope > 0.01}


def test_the_gradient_of_a_plain_network_is_its_slope():
    assert says_nothing(checked(network()))


def test_the_layers_below_a_detached_map_change_the_outputs_without_a_gradient_and_those_above_have_the_right_one():
    found = checked(network(lambda maps: maps.detach()))
    assert silent(found) == {"0.0", "0.1", "1.0", "1.1"}
    assert off(found) == set()
    assert value(found, ALONG, "2.1") == pytest.approx(1.0)


def test_a_product_of_which_one_factor_is_detached_is_seen_along_the_gradient():
    found = checked(network(lambda maps: maps.detach() * maps.mean(1, keepdim=True).sigmoid()))
    assert off(found) == {"0.0", "0.1", "1.0", "1.1"}
    assert silent(found) == set()


def test_a_factor_of_a_backward_function_is_measured():
    found = checked(network(Shrunk.apply))
    assert value(found, ALONG, "0.0") == pytest.approx(100, rel=1e-4)
    assert value(found, ALONG, "1.1") == pytest.approx(100, rel=1e-4)


def test_weights_read_past_autograd_are_seen_in_their_layer_alone():
    model = network()
    model[1][0].register_forward_hook(lambda module, inputs, output: F.conv2d(inputs[0], module.weight.data))
    found = checked(model)
    assert silent(found) == {"1.0"}
    assert off(found) == set()


def test_the_slope_is_that_of_a_slow_loop_over_every_weight():
    """One weight at a time: autograd's own partial derivatives, times the measured ratio, are those of finite differences."""
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
    oracle = slow / weight.grad
    assert oracle.numpy() == pytest.approx(value(found, ALONG, "first"), rel=1e-4)
    assert value(found, ALONG, "first") == pytest.approx(4.0, rel=1e-4)
    assert value(found, ALONG, "last") == pytest.approx(1.0, rel=1e-4)


def test_the_cosine_is_that_of_the_true_gradient_in_units_of_the_weights_sizes():
    """Two branches in parallel, one detached: the true gradient is known by autograd of the same network without the detach."""

    def two_branches(cut):
        model = nn.Sequential(nn.Linear(5, 40), nn.Tanh(), nn.Linear(40, 30)).double()
        model.load_state_dict(plain.state_dict())
        model[1].register_forward_hook(
            lambda module, inputs, output: output.sin() + 2 * (output.detach() if cut else output).cos()
        )
        return model

    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(5, 40), nn.Tanh(), nn.Linear(40, 30)).double()
    rows = torch.randn(6, 5).double()
    v = torch.randn(6, 30, generator=torch.Generator().manual_seed(0), dtype=torch.double)  # as the probe draws it
    gradients = []
    for cut in (True, False):
        model = two_branches(cut)
        (v * model(rows)).sum().backward()
        size = {name: float(p.detach().square().mean().sqrt()) for name, p in model[0].named_parameters()}
        gradients.append(torch.cat([(size[name] * p.grad).flatten() for name, p in model[0].named_parameters()]))
    expected = float(F.cosine_similarity(gradients[0], gradients[1], dim=0))
    found = numeric_gradient(
        two_branches(True), lambda model: [model(rows)], {"first": ["0.weight", "0.bias"], "last": ["2.weight"]}
    )
    assert 0.2 < expected < 0.95
    assert value(found, "slope_cosine") == pytest.approx(expected, rel=0.5)


def test_statistics_that_are_detached_on_purpose_keep_their_promise_along_the_gradient():
    def restyled(maps):
        mean, deviation = maps.mean((2, 3), keepdim=True).detach(), (maps.var((2, 3), keepdim=True) + 1e-6).sqrt().detach()
        return (maps - mean) / deviation * deviation.flip(0) + mean.flip(0)

    found = checked(network(restyled))
    assert value(found, APART) > 0.01 and silent(found) == set()
    assert all(0.4 < ratio < 2.5 for (name, _), ratio in values(found).items() if name == ALONG)


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


def test_outputs_that_are_not_finite_are_said_to_be():
    with pytest.raises(RuntimeError, match="not finite"):
        checked(network(lambda maps: maps / (0 * maps)))


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
