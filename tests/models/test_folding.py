"""A folded network embeds as the network does, and is refused wherever that is not sure; the network itself stays as it was."""

import copy
from collections.abc import Callable

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unplateau.models import folding
from unplateau.models.folding import Pair, folded, pairs_of
from unplateau.models.osnet import build_osnet
from unplateau.models.resnet import build_resnet

IMAGES_BCHW = torch.randn(3, 3, 32, 16, generator=torch.Generator().manual_seed(7))


def run(network: nn.Module) -> Tensor:
    """Embed the images."""
    output: Tensor = network(IMAGES_BCHW)
    return output.flatten(1)


def lived_in(network: nn.Module) -> nn.Module:
    """Give norms the statistics and weights of a network that was trained, and put it into evaluation mode."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for tensor, low, high in (
                (module.running_mean, -0.3, 0.3),
                (module.running_var, 0.5, 1.5),
                (module.weight, -1.2, 1.2),
                (module.bias, -1, 1),
            ):
                if tensor is not None:
                    tensor.data.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)
    return network.eval()


def block(*between: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *between, nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1))


def num_norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


MAKERS: dict[str, Callable[[], nn.Module]] = {
    "mobilenetv2": lambda: timm.create_model("mobilenetv2_050", pretrained=False, num_classes=0),
    "regnet": lambda: timm.create_model("regnetx_002", pretrained=False, num_classes=0),
    "resnet": lambda: build_resnet("18x", last_stride=1, with_ibn=False),
    "osnet": lambda: build_osnet("x0_25", with_ibn=False),
}


@pytest.mark.parametrize("name", list(MAKERS))
def test_networks_fold_whole(name: str) -> None:
    network = lived_in(MAKERS[name]())
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    copied = folded(network, run)
    assert copied is not None
    assert (num_norms(copied), num_norms(network) > 0) == (0, True)
    torch.testing.assert_close(run(copied), run(network), rtol=1e-4, atol=1e-5)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_a_convolution_computes_what_convolution_and_norm_did_by_the_definition() -> None:
    network = lived_in(block())
    copied = folded(network, run)
    assert copied is not None
    convolution, norm = network[0], network[1]
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
    maps_BCHW = F.conv2d(IMAGES_BCHW.double(), convolution.weight.double(), convolution.bias.double(), padding=1)
    shape = (1, -1, 1, 1)
    scaled = (maps_BCHW - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + norm.eps).sqrt()
    plain = scaled * norm.weight.view(shape) + norm.bias.view(shape)
    torch.testing.assert_close(copied[0](IMAGES_BCHW).double(), plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("settings", [{"groups": 3, "bias": False}, {"stride": 2}, {"padding_mode": "reflect"}, {"dilation": 2}])
def test_every_kind_of_convolution_folds(settings: dict[str, object]) -> None:
    convolution = nn.Conv2d(3, 6, 3, **{"padding": 1, **settings})  # type: ignore[arg-type]
    network = lived_in(nn.Sequential(convolution, nn.BatchNorm2d(6, affine="groups" not in settings)))
    copied = folded(network, run)
    assert copied is not None
    torch.testing.assert_close(run(copied), run(network), rtol=1e-4, atol=1e-5)


def test_instance_norms_and_what_they_share_with_batch_norms_stay_as_they_are() -> None:
    network = lived_in(_HalfInstanceNorm())
    pairs, _ = pairs_of(network, run)
    assert pairs == (Pair("last", "last_norm"),)
    copied = folded(network, run)
    assert copied is not None
    torch.testing.assert_close(run(copied), run(network), rtol=1e-4, atol=1e-5)


class _HalfInstanceNorm(nn.Module):
    """As IBN-a: half of the channels go through an instance norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.instance, self.batch = nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(4, affine=True), nn.BatchNorm2d(4)
        self.last, self.last_norm = nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        one, other = self.first(images_BCHW).split(4, dim=1)
        maps = torch.cat((self.instance(one.contiguous()), self.batch(other.contiguous())), dim=1)
        return self.last_norm(self.last(maps.relu()))


class _SeenTwice(nn.Module):
    """What lies between convolution and norm is used by something else too."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.convolution, self.norm, self.other = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 1)
        self.how = how

    def forward(self, images_BCHW: Tensor) -> Tensor:
        maps = self.convolution(images_BCHW)
        if self.how == "by a module":
            return self.norm(maps) + self.other(maps)
        if self.how == "by a function":
            return self.norm(maps) + maps.sigmoid()
        if self.how == "changed before":
            return self.norm(maps.relu_())
        if self.how == "norm called twice":
            return self.norm(maps) + self.norm(self.other(maps.detach().clone()))
        if self.how == "convolution called twice":
            return self.norm(maps) + self.convolution(images_BCHW.flip(3))
        if self.how == "norm asked":
            return self.norm(maps) * self.norm.weight.mean()
        return self.norm(maps) + F.conv2d(images_BCHW, self.convolution.weight)


@pytest.mark.parametrize(
    "how",
    [
        "by a module",
        "by a function",
        "changed before",
        "norm called twice",
        "convolution called twice",
        "norm asked",
        "weight used",
    ],
)
def test_what_is_used_otherwise_too_is_not_folded(how: str) -> None:
    network = lived_in(_SeenTwice(how))
    assert folded(network, run) is None


@pytest.mark.parametrize("kind", ["in training mode", "without statistics", "hook", "own forward", "subclass", "nothing to fold"])
def test_norms_that_are_more_or_less_than_a_fixed_scale_are_left(kind: str) -> None:
    network = lived_in(block())
    norm = network[1]
    if kind == "in training mode":
        norm.train()
    elif kind == "without statistics":
        network[1] = nn.BatchNorm2d(8, track_running_stats=False).eval()
    elif kind == "hook":
        network[3].register_forward_hook(lambda *_: None)
    elif kind == "own forward":
        norm.forward = lambda maps: maps  # type: ignore[method-assign]
    elif kind == "subclass":
        network[1] = type("Norm", (nn.BatchNorm2d,), {})(8).eval()
    else:
        network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    assert folded(network, run) is None


def test_a_copy_that_gives_something_else_is_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    network = lived_in(block())
    assert folded(network, run) is not None
    true_fold = folding._fold_into

    def wrong_by_a_little(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        true_fold(convolution, norm)
        convolution.weight.data *= 1.01

    monkeypatch.setattr(folding, "_fold_into", wrong_by_a_little)
    assert folded(network, run) is None


def test_the_copy_has_nothing_that_is_trained_and_training_the_network_goes_on() -> None:
    network = lived_in(block())
    copied = folded(network, run)
    assert copied is not None
    assert not any(parameter.requires_grad for parameter in copied.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
    twin = copy.deepcopy(network)
    for one in (network, twin):
        one.train()
        run(one).square().mean().backward()
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(network.parameters(), twin.parameters(), strict=True))  # type: ignore[arg-type]
