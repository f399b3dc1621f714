"""A backbone with a cause below the configuration, for `real_runs.py`: no gradient ever reaches its weights."""

from torch import Tensor, nn

from unplateau.models.tiny import build_tiny_backbone


class _Detached(nn.Module):
    """The tiny backbone, its features cut off from the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = build_tiny_backbone()
        self.num_features = self.inner.num_features

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return self.inner(images_BCHW).detach()


def detached() -> nn.Module:
    """Return the network; named `benchmarks.halving.faulty_backbone:detached` in a configuration."""
    return _Detached()
