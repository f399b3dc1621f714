import pytest
import torch
from torch.nn import functional as F

from unplateau.probes.sets_told_apart import _above, sets_told_apart

from .reading import value


def pictures(seed, count=60):
    generator = torch.Generator().manual_seed(seed)
    coarse = F.interpolate(torch.randn(count, 3, 8, 4, generator=generator), (32, 16), mode="bilinear")
    tint = 0.5 * torch.randn(count, 3, 1, 1, generator=generator)
    return coarse + tint + 0.2 * torch.randn(coarse.shape, generator=generator)


def apart(one, other):
    return value(sets_told_apart(one, other, group="a | b"), "sets_told_apart", "a | b")


@pytest.mark.parametrize("seed", range(0, 12, 2))
def test_two_sets_of_one_kind_cannot_be_told_apart(seed):
    assert apart(pictures(seed), pictures(seed + 1, 90)) < 0.75


def blurred(images):
    return F.avg_pool2d(images, 3, stride=1, padding=1)


def in_a_margin(images):
    return F.pad(F.interpolate(images, (16, 8), mode="bilinear"), (4, 4, 8, 8))


def grey(images):
    return images.mean(1, keepdim=True).expand(-1, 3, -1, -1)


@pytest.mark.parametrize("change", [blurred, in_a_margin, grey], ids=lambda change: change.__name__)
def test_another_preparation_is_seen(change):
    assert apart(pictures(0), change(pictures(1))) > 0.95


def test_the_share_of_pairs_is_counted_one_by_one():
    high, low = torch.tensor([3.0, 1.0, 2.0]), torch.tensor([1.0, 0.0])
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in high.tolist() for b in low.tolist()]
    assert _above(high, low) == pytest.approx(sum(pairs) / len(pairs))
