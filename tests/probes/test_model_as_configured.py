import copy

import pytest
import torch
from torch import nn

from unplateau.probes.model_as_configured import gradients_apart, initial_weights_apart, outputs_apart, settings_apart

from .reading import value, values

IMAGES = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def network():
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    return nn.Sequential(body, nn.Linear(4 * 36, 5))


def differing(trained, configured):
    found = settings_apart(trained, configured)
    return {group for (name, group) in values(found) if name == "modules_differ" and group}


def parting(trained, configured=None):
    found = outputs_apart(trained, configured or network(), lambda model: model(IMAGES))
    return {group: v for (name, group), v in values(found).items() if name == "output_differs" and group}, found


def test_two_models_of_one_configuration_agree_whatever_their_weights():
    trained = network()
    with torch.no_grad():
        for tensor in [*trained.parameters(), *trained.buffers()]:
            tensor.add_(1)
    assert differing(trained, network()) == set()
    where, found = parting(trained)
    assert where == {} and value(found, "output_differs") == 0.0


def test_settings_classes_and_missing_modules_are_told_by_path():
    trained = network()
    trained[0][1].momentum, trained[0][2] = 0.5, nn.Sigmoid()
    trained.append(nn.Dropout(0.3))
    assert differing(trained, network()) == {
        "0.1: momentum 0.5 instead of 0.1", "0.2: Sigmoid instead of ReLU", "2: Dropout not configured"
    }  # fmt: skip
    assert value(settings_apart(trained, network()), "modules_differ") == 3


def test_a_norm_that_layers_share_is_told_with_its_first_place_and_a_shared_activation_is_not():
    def stack(*, norm=None, relu=None):
        return nn.Sequential(*[m for _ in range(2) for m in (norm or nn.BatchNorm2d(4), relu or nn.ReLU())])

    assert differing(stack(norm=nn.BatchNorm2d(4)), stack()) == {"2: BatchNorm2d shared with 0"}
    assert differing(stack(relu=nn.ReLU()), stack()) == set()
    assert differing(stack(norm=nn.BatchNorm2d(4)), stack(norm=nn.BatchNorm2d(4))) == set()


def test_a_hook_is_told_by_the_first_module_whose_output_differs():
    trained = network()
    trained[1].register_forward_hook(lambda module, inputs, output: output.softmax(1))
    where, _ = parting(trained)
    assert set(where) == {"evaluation: 1 (Linear)", "training: 1 (Linear)"}
    one, other = network().eval(), network().eval()
    plain = other(IMAGES).detach().double()
    expected = float((one(IMAGES).detach().softmax(1).double() - plain).norm() / plain.norm())
    assert where["evaluation: 1 (Linear)"] == pytest.approx(expected, rel=1e-5)


def test_images_that_are_changed_before_the_first_layer_are_told_apart_from_a_layer_that_differs():
    def differing_input(change):
        trained = network()
        trained[0][0].register_forward_pre_hook(lambda module, inputs: (change(inputs[0]),))
        _, found = parting(trained)
        return value(found, "input_differs", "training: 0.0 (Conv2d)"), value(found, "input_explained", "training: 0.0 (Conv2d)")

    apart, explained = differing_input(lambda images: 2 * images - 1)
    assert apart > 0.5 and explained == pytest.approx(1.0)
    apart, explained = differing_input(lambda images: images.flip(3))
    assert apart > 0.5 and explained < 0.5
    hooked = network()
    hooked[0][0].register_forward_hook(lambda module, inputs, output: output.relu())
    assert not any(name == "input_differs" for name, _ in values(parting(hooked)[1]))


def test_dropout_in_a_hook_shows_in_training_alone_as_zeros_that_other_draws_move():
    trained = network()
    trained[0][0].register_forward_hook(lambda module, inputs, output: nn.functional.dropout(output, 0.5, module.training))
    where, found = parting(trained)
    assert set(where) == {"training: 0.0 (Conv2d)"}
    assert value(found, "output_zeros", "training: 0.0 (Conv2d)") == pytest.approx(0.5, abs=0.1)
    assert value(found, "output_random", "training: 0.0 (Conv2d)") > 0.1


def test_batch_normalisation_in_evaluation_mode_shows_in_training_without_zeros():
    trained = network()
    trained.register_forward_pre_hook(lambda module, inputs: trained[0][1].eval() and None)
    where, found = parting(trained)
    assert set(where) == {"training: 0.1 (BatchNorm2d)"}
    assert value(found, "output_zeros", "training: 0.1 (BatchNorm2d)") == pytest.approx(0.0, abs=0.01)


def test_a_wrapped_forward_shows_at_the_whole():
    trained = network()
    usual = trained.forward
    trained.forward = lambda images: 2 * usual(images)
    assert set(parting(trained)[0]) == {"evaluation: (whole) (Sequential)", "training: (whole) (Sequential)"}


def test_modes_and_hooks_are_as_before():
    trained = network()
    trained[0][1].eval()
    kept = copy.deepcopy([module.training for module in trained.modules()])
    parting(trained)
    assert [module.training for module in trained.modules()] == kept
    assert not any(module._forward_hooks for module in trained.modules())


def test_an_output_that_uses_few_dimensions_is_seen():
    trained = network()
    trained.register_forward_hook(lambda module, inputs, output: output[:, :1].expand_as(output))
    where, found = parting(trained)
    assert set(where) == {"evaluation: (whole) (Sequential)", "training: (whole) (Sequential)"}
    assert value(found, "output_rank", "evaluation: (whole) (Sequential)") < 0.7


def test_weights_a_training_began_with_are_compared_with_those_of_its_seed():
    assert values(initial_weights_apart(network(), network())) == {("initial_weights_differ", ""): 0.0}
    begun = network()
    with torch.no_grad():
        begun[0][0].weight.mul_(1e-3)
    found = values(initial_weights_apart(begun, network()))
    assert found["initial_weights_differ", ""] == pytest.approx(1 / 6)
    assert found["initial_length", "0.0.weight"] == pytest.approx(1e-3)


class Backward(torch.autograd.Function):
    """Changes nothing on the way there."""

    @staticmethod
    def forward(ctx, values, factor):
        ctx.factor = factor
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.factor, None


def sent_back(factor, layer=1):
    trained = network()
    trained[0][layer].register_forward_hook(lambda module, inputs, output: Backward.apply(output, factor))
    return values(gradients_apart(trained, network(), lambda model: [model(IMAGES)]))


def test_the_way_back_through_a_model_is_compared_where_its_outputs_agree():
    same = sent_back(1.0)
    assert same["model_gradient_cosine", ""] == pytest.approx(1.0) and same["model_gradient_ratio", ""] == pytest.approx(1.0)
    assert same["model_gradient_gone", ""] == 0.0
    cut = sent_back(0.0)
    assert 0 < cut["model_gradient_gone", ""] < 1 and cut["model_gradient_ratio", ""] < 1
    turned = sent_back(-1.0)
    assert turned["model_gradient_gone", ""] == 0.0 and turned["model_gradient_cosine", ""] < 0.98


def test_a_model_without_a_way_back_hands_back_nothing():
    found = values(gradients_apart(network(), network(), lambda model: [model(IMAGES)]))
    assert found["model_gradient_ratio", ""] == pytest.approx(1.0)
    cut = network()
    cut[1].register_forward_hook(lambda module, inputs, output: output.detach())
    found = values(gradients_apart(cut, network(), lambda model: [model(IMAGES)]))
    assert found["model_gradient_ratio", ""] == 0.0 and found["model_gradient_gone", ""] == pytest.approx(1.0)


def test_a_frozen_model_has_no_way_back_to_compare():
    frozen = network().requires_grad_(False)
    assert gradients_apart(frozen, network(), lambda model: [model(IMAGES)]) == ()


def test_images_that_change_places_are_told_from_other_outputs():
    trained, other = network(), network()
    trained[0].register_forward_pre_hook(lambda module, inputs: (inputs[0].roll(1, 0),))
    other[0].register_forward_pre_hook(lambda module, inputs: (inputs[0] + 0.1,))
    for model, expected in ((trained, 1.0), (other, 0.0)):
        _, found = parting(model)
        assert {v for (name, _), v in values(found).items() if name == "rows_exchanged"} == {expected}


def test_images_that_change_places_and_come_back_are_no_exchange():
    trained = network()
    trained[0].register_forward_pre_hook(lambda module, inputs: (inputs[0].roll(1, 0),))
    trained[0].register_forward_hook(lambda module, inputs, output: output.roll(-1, 0))
    _, found = parting(trained)
    assert {v for (name, _), v in values(found).items() if name == "rows_exchanged"} == {0.0}


def test_a_layer_with_weights_that_is_never_called_is_told_by_path():
    class Forgetful(nn.Sequential):
        def forward(self, images):
            return self[2](self[0](images))

    def body(kind):
        torch.manual_seed(0)
        return kind(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())

    _, found = parting(body(Forgetful), body(nn.Sequential))
    unused = {group: v for (name, group), v in values(found).items() if name == "modules_unused"}
    assert unused == {"": 1.0, "1": 1.0}
    assert value(parting(network())[1], "modules_unused") == 0.0
