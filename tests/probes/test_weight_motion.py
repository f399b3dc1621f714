import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from unplateau.probes.weight_motion import snapshot, weight_motion

from .reading import value


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def step(model, optimizer):
    optimizer.zero_grad()
    model(torch.ones(5, 4)).square().sum().backward()
    optimizer.step()


def oracle(before, after):
    moved = sum((a - b) ** 2 for x, y in zip(after, before, strict=True) for a, b in zip(x, y, strict=True))
    length = sum(b**2 for y in before for b in y)
    return (moved / length) ** 0.5


def plain(parameters):
    return [p.detach().flatten().tolist() for p in parameters]


def test_motion_is_that_of_plain_sums_in_every_group_and_overall():
    model = net()
    before, start = plain(model.parameters()), snapshot(model.named_parameters())
    step(model, torch.optim.SGD(model.parameters(), lr=1e-3))
    found = weight_motion(start, model.named_parameters())
    after = plain(model.parameters())
    assert value(found, "weight_motion") == pytest.approx(oracle(before, after), rel=1e-5)
    assert value(found, "weight_motion", "0") == pytest.approx(oracle(before[:2], after[:2]), rel=1e-5)
    assert value(found, "weight_motion", "2") == pytest.approx(oracle(before[2:], after[2:]), rel=1e-5)
    assert value(found, "unmoved_with_gradient") == 0


def test_an_optimiser_of_other_tensors_leaves_gradients_and_no_motion():
    model = net()
    start = snapshot(model.named_parameters())
    copies = [nn.Parameter(p.detach().clone()) for p in model.parameters()]
    step(model, torch.optim.SGD(copies, lr=0.1))
    found = weight_motion(start, model.named_parameters())
    assert value(found, "weight_motion") == 0 and value(found, "tensors_moved") == 0
    assert value(found, "unmoved_with_gradient") == 4


def test_frozen_layers_are_still_without_a_gradient():
    model = net()
    model[0].requires_grad_(False)
    start = snapshot(model.named_parameters())
    step(model, torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1))
    found = weight_motion(start, model.named_parameters())
    assert value(found, "weight_motion", "0") == 0 and value(found, "unmoved_with_gradient", "0") == 0
    assert value(found, "tensors_moved", "2") == 1


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD])
def test_weight_decay_alone_is_no_motion_once_it_is_taken_out(kind):
    model = net()
    optimizer = kind(model.parameters(), lr=0.1, weight_decay=0.01)
    start = snapshot(model.named_parameters())
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    decay = {name: 0.1 * 0.01 for name, _ in model.named_parameters()}
    assert value(weight_motion(start, model.named_parameters()), "weight_motion") == pytest.approx(1e-3, rel=1e-3)
    assert value(weight_motion(start, model.named_parameters(), decay=decay), "weight_motion") < 1e-7


def test_a_sample_of_elements_estimates_the_motion_of_all():
    model = nn.Sequential(nn.Conv2d(8, 64, 3), nn.Linear(300, 200)).to(memory_format=torch.channels_last)
    whole, sampled = snapshot(model.named_parameters()), snapshot(model.named_parameters(), elements=256)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(1e-3 * torch.randn(p.shape, generator=generator) * p)
    exact = value(weight_motion(whole, model.named_parameters()), "weight_motion")
    assert value(weight_motion(sampled, model.named_parameters()), "weight_motion") == pytest.approx(exact, rel=0.2)
    assert max(v.numel() for v in sampled.values.values()) == 256


def test_watching_a_sample_reads_only_the_sample_and_launches_as_much_for_large_tensors_as_for_small():
    class Counted(TorchDispatchMode):
        launched = largest = 0

        def __torch_dispatch__(self, function, types, arguments=(), kwargs=None):
            result = function(*arguments, **(kwargs or {}))
            if not function.is_view:
                self.launched += 1
                self.largest = max(self.largest, *(t.numel() for t in tree_leaves(result) if isinstance(t, torch.Tensor)), 0)
            return result

    launched = set()
    for width in (20, 200):
        model = nn.Sequential(*[nn.Linear(width, width) for _ in range(80)])
        with Counted() as counted:
            weight_motion(snapshot(model.named_parameters(), elements=64), model.named_parameters())
        launched.add(counted.launched)
        assert counted.largest <= 160 * 64  # all samples beside each other, at the most
    assert len(launched) == 1
