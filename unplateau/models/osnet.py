"""OSNet, the omni-scale network: blocks of several receptive fields, mixed by a gate they share.

Zhou et al. 2019, arXiv 1905.00953 (figure 3, table 1); OSNet-IBN: Zhou et al. 2021, arXiv 1910.06827. Parameter names
are those of the authors' public weights, so these load; the layers after the pooling are left to the head.
"""

import torch
from torch import Tensor, nn

WIDTHS = {
    "x1_0": (64, 256, 384, 512),
    "x0_75": (48, 192, 288, 384),
    "x0_5": (32, 128, 192, 256),
    "x0_25": (16, 64, 96, 128),
}
_BOTTLENECK = 4  # a block works on a quarter of its output channels
_GATE_REDUCTION = 16


class _ConvNorm(nn.Module):
    """Convolution and normalisation, then a ReLU unless it is told to stay linear."""

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int = 1, stride: int = 1, instance: bool = False, linear: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.InstanceNorm2d(outputs, affine=True) if instance else nn.BatchNorm2d(outputs)
        self.activation = nn.Identity() if linear else nn.ReLU(inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        return self.activation(self.bn(self.conv(maps)))


class _LightConv(nn.Module):
    """Pointwise then depthwise 3x3 convolution, the paper's Lite 3x3 (equation 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv2(self.conv1(maps))))


class _Gate(nn.Module):
    """Weighs each channel by what the whole map shows (the aggregation gate of equation 4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // _GATE_REDUCTION, 1)
        self.fc2 = nn.Conv2d(channels // _GATE_REDUCTION, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        means = maps.mean(dim=(2, 3), keepdim=True)
        return maps * torch.sigmoid(self.fc2(torch.relu(self.fc1(means))))


class _OmniScaleBlock(nn.Module):
    """A residual block whose four streams see 3, 5, 7 and 9 pixels."""

    def __init__(self, inputs: int, outputs: int, *, instance: bool) -> None:
        super().__init__()
        middle = outputs // _BOTTLENECK
        self.conv1 = _ConvNorm(inputs, middle)
        self.conv2a = _LightConv(middle)
        self.conv2b = nn.Sequential(*(_LightConv(middle) for _ in range(2)))
        self.conv2c = nn.Sequential(*(_LightConv(middle) for _ in range(3)))
        self.conv2d = nn.Sequential(*(_LightConv(middle) for _ in range(4)))
        self.gate = _Gate(middle)
        self.conv3 = _ConvNorm(middle, outputs, linear=True)
        self.downsample = _ConvNorm(inputs, outputs, linear=True) if inputs != outputs else nn.Identity()
        self.IN = nn.InstanceNorm2d(outputs, affine=True) if instance else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        reduced = self.conv1(maps)
        near = self.gate(self.conv2a(reduced)) + self.gate(self.conv2b(reduced))
        mixed = near + self.gate(self.conv2c(reduced)) + self.gate(self.conv2d(reduced))
        return torch.relu(self.IN(self.conv3(mixed) + self.downsample(maps)))


class OSNetBackbone(nn.Module):
    """Maps images (B, 3, H, W) to maps (B, 512 at full width, H/16, W/16)."""

    def __init__(self, widths: tuple[int, int, int, int], *, with_ibn: bool) -> None:
        super().__init__()
        self.conv1 = _ConvNorm(3, widths[0], kernel=7, stride=2, instance=with_ibn)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = _stage(widths[0], widths[1], instance=with_ibn, halves=True)
        self.conv3 = _stage(widths[1], widths[2], instance=False, halves=True)
        self.conv4 = _stage(widths[2], widths[3], instance=False, halves=False)
        self.conv5 = _ConvNorm(widths[3], widths[3])

    def forward(self, images_BCHW: Tensor) -> Tensor:
        maps_BCHW: Tensor = self.conv5(self.conv4(self.conv3(self.conv2(self.maxpool(self.conv1(images_BCHW))))))
        return maps_BCHW


def build_osnet(width: str, *, with_ibn: bool) -> OSNetBackbone:
    """Return an OSNet with random weights, drawn from torch's global generator.

    Args:
        width: a key of `WIDTHS`.
        with_ibn: OSNet-IBN, instance normalisation in the stem and the first stage.
    """
    backbone = OSNetBackbone(WIDTHS[width], with_ibn=with_ibn)
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return backbone


def _stage(inputs: int, outputs: int, *, instance: bool, halves: bool) -> nn.Sequential:
    layers: list[nn.Module] = [
        _OmniScaleBlock(inputs, outputs, instance=instance),
        _OmniScaleBlock(outputs, outputs, instance=instance),
    ]
    if halves:
        layers.append(nn.Sequential(_ConvNorm(outputs, outputs), nn.AvgPool2d(2, stride=2)))
    return nn.Sequential(*layers)
