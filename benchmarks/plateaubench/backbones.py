"""Networks that PlateauBench can train besides the standard one: other architectures, not other sizes of it.

B batch, C/H/W image.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

STANDARD = "tiny"
CHANGES: dict[str, dict[str, Any]] = {
    STANDARD: {},
    "residual": {"MODEL.BACKBONE.NAME": "benchmarks.plateaubench.backbones:build_residual"},
    "osnet_x0_25": {"MODEL.BACKBONE.NAME": "build_osnet_backbone", "MODEL.BACKBONE.DEPTH": "x0_25"},
}
"""What each changes in the recipe."""
_WIDTHS, _STRIDES = (24, 48, 96, 192), (2, 2, 2, 1)


class Residual(nn.Module):
    """A stem and four basic blocks of ResNet (He et al. 2016): images (B, 3, H, W) to a map (B, 192, H/16, W/16)."""

    def __init__(self) -> None:
        super().__init__()
        self.num_features = _WIDTHS[-1]
        self.stem = nn.Sequential(
            nn.Conv2d(3, _WIDTHS[0], 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(_WIDTHS[0]), nn.ReLU(inplace=True)
        )
        self.blocks = nn.Sequential(*map(_block, (_WIDTHS[0], *_WIDTHS[:-1]), _WIDTHS, _STRIDES))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return the feature map, float (B, 192, H/16, W/16)."""
        features: Tensor = self.blocks(self.stem(images_BCHW))
        return features


def build_residual() -> nn.Module:
    """Return the residual network, freshly initialised."""
    return Residual()


def convolutions_and_norms(backbone: nn.Module) -> list[nn.Module]:
    """Return a backbone's convolutions and batch-norm layers, from the images on."""
    return [module for module in backbone.modules() if isinstance(module, (nn.Conv2d, nn.BatchNorm2d))]


def _block(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return BasicBlock(inputs, outputs)
    shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))
    return BasicBlock(inputs, outputs, stride, downsample=shortcut)
