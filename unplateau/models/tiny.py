"""A convolutional network small enough to learn MiniMarket from nothing, on two CPU cores, while one waits.

Five 3x3 convolutions with batch normalisation, after the VGG pattern (Simonyan and Zisserman 2015). Pooling, neck and
classifier are the head's; pretrained weights do not exist for it.
"""

from torch import Tensor, nn


class TinyConvNet(nn.Module):
    """Five stages, each halving the image but the last: (B, 3, H, W) to a feature map (B, num_features, H/16, W/16)."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 128, 192)) -> None:
        super().__init__()
        self.num_features = widths[-1]
        strides = (2, 2, 2, 2, 1)
        inputs = (3, *widths[:-1])
        self.stages = nn.Sequential(*map(_stage, inputs, widths, strides))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return the feature map, float (B, num_features, H/16, W/16)."""
        features: Tensor = self.stages(images_BCHW)
        return features


def build_tiny_backbone() -> nn.Module:
    """Return the backbone of `custom_configs/minimarket_demo.yml`, freshly initialised."""
    return TinyConvNet()


def _stage(inputs: int, outputs: int, stride: int) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
