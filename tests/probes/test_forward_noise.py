import pytest
import torch
from torch.nn import functional as F

from unplateau.probes.forward_noise import forward_noise

from .reading import value


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.98])
def test_the_share_that_dropout_drops_is_found(share):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(64, 2000, generator=generator)
    torch.manual_seed(0)
    found = forward_noise(F.dropout(features, share), F.dropout(features, share))
    assert value(found, "dropped_share") == pytest.approx(share, abs=0.03)


def test_two_equal_passes_have_no_noise():
    features = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    found = forward_noise(features, features)
    assert value(found, "forward_noise") == value(found, "dropped_share") == 0.0


def test_passes_that_share_nothing_count_as_everything_dropped():
    assert value(forward_noise(torch.ones(2, 3), -torch.ones(2, 3)), "dropped_share") == 1.0
