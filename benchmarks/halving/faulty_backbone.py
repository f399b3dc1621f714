"""A backbone with a cause below the configuration, for `real_runs.py`: no gradient ever reaches its weights."""

from torch import Tensor, nn

from benchmarks.protocol.quarter_mobilenet import QuarterMobileNet
from unplateau.models.tiny import build_tiny_backbone


class _Detached(nn.Module):
    """A backbone whose features are cut off from the graph."""

    def __init__(self, inner: nn.Module, num_features: int) -> None:
        super().__init__()
        self.inner, self.num_features = inner, num_features

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return self.inner(images_BCHW).detach()


def detached() -> nn.Module:
    """Return the tiny network; named `benchmarks.halving.faulty_backbone:detached` in a configuration."""
    inner = build_tiny_backbone()
    return _Detached(inner, inner.num_features)


def detached_mobilenet() -> nn.Module:
    """Return the small MobileNet, cut off likewise; its weights' names gain `inner.`, so it starts at random."""
    return _Detached(QuarterMobileNet(), QuarterMobileNet.num_features)
