"""MobileNetV1 with a quarter of the channels: the small network of the experiments. Howard et al. 2017, arXiv 1704.04861.

Module names follow the public ImageNet weights of this variant (`stage1`..`stage3`, LeakyReLU 0.1), so those load by name.
Also serves as the example of a backbone of one's own: `MODEL.BACKBONE.NAME benchmarks.protocol.quarter_mobilenet:build`.
"""

import torch
from torch import Tensor, nn

SLOPE = 0.1  # of the LeakyReLU the public weights were trained with


def _conv(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(SLOPE, inplace=True)
    )


def _depthwise(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.LeakyReLU(SLOPE, inplace=True),
        nn.Conv2d(inputs, outputs, 1, 1, 0, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(SLOPE, inplace=True),
    )


class QuarterMobileNet(nn.Module):
    """Maps images (B, 3, H, W) to feature maps (B, 256, H/32, W/32)."""

    num_features = 256

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(
            _conv(3, 8, 2), _depthwise(8, 16, 1), _depthwise(16, 32, 2), _depthwise(32, 32, 1),
            _depthwise(32, 64, 2), _depthwise(64, 64, 1),
        )  # fmt: skip
        self.stage2 = nn.Sequential(_depthwise(64, 128, 2), *(_depthwise(128, 128, 1) for _ in range(5)))
        self.stage3 = nn.Sequential(_depthwise(128, 256, 2), _depthwise(256, 256, 1))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return self.stage3(self.stage2(self.stage1(images_BCHW)))


def build() -> QuarterMobileNet:
    """Return the network with random weights."""
    return QuarterMobileNet()


def load_public_weights(network: QuarterMobileNet, path: str) -> None:
    """Load the public ImageNet file, leaving its 1000-way classifier aside. Raises RuntimeError on any other mismatch."""
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    network.load_state_dict({name: tensor for name, tensor in state.items() if not name.startswith("fc.")})
