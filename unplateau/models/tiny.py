"""A convolutional network small enough to learn MiniMarket from nothing, on two CPU cores, while one waits.

Eight 3x3 convolutions with batch normalisation, after the VGG pattern (Simonyan and Zisserman 2015). Pooling, neck and
classifier are the head's; pretrained weights do not exist for it.
"""

from torch import Tensor, nn

_WIDTHS = (16, 32, 32, 64, 64, 128, 128, 192)
_STRIDES = (2, 2, 1, 2, 1, 2, 1, 1)


class TinyConvNet(nn.Module):
    """Eight convolutions that map images (B, 3, H, W) to a feature map (B, num_features, H/16, W/16); 0.5 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.num_features = _WIDTHS[-1]
        self.layers = nn.Sequential(*map(_layer, (3, *_WIDTHS[:-1]), _WIDTHS, _STRIDES))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return the feature map, float (B, num_features, H/16, W/16)."""
        features: Tensor = self.layers(images_BCHW)
        return features


def build_tiny_backbone() -> nn.Module:
    """Return the backbone of `custom_configs/minimarket_demo.yml`, freshly initialised."""
    return TinyConvNet()


def _layer(inputs: int, outputs: int, stride: int) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
