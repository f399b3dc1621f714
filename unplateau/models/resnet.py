"""ResNet backbones for re-ID: torchvision's layers and names, last stride 1, instance-batch normalisation (IBN-a).

He et al. 2015; IBN-a: Pan et al. 2018, arXiv 1807.09441, section 3.2, figure 3; last stride: Luo et al. 2019.
Names of the IBN layers are those of IBN-Net and fast-reid, so all their weights load.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import resnet as torchvision_resnet

DEPTHS = {
    "18x": torchvision_resnet.resnet18,
    "34x": torchvision_resnet.resnet34,
    "50x": torchvision_resnet.resnet50,
    "101x": torchvision_resnet.resnet101,
    "152x": torchvision_resnet.resnet152,
}


class InstanceBatchNorm(nn.Module):
    """Instance normalisation of the first half of the channels, batch normalisation of the second."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.boundary = channels // 2
        self.IN = nn.InstanceNorm2d(self.boundary, affine=True)
        self.BN = nn.BatchNorm2d(channels - self.boundary)

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        first, second = maps_BCHW[:, : self.boundary], maps_BCHW[:, self.boundary :]
        return torch.cat((self.IN(first.contiguous()), self.BN(second.contiguous())), dim=1)


class StemPooling(nn.Module):
    """The 3x3 max pooling after the first convolution: torchvision's, or fast-reid's, which is shifted by one pixel.

    fast-reid pads at the lower right (ceil mode) instead of all around. A model loaded from there switches to its form,
    and its state dict then carries the mark `is_fastreid`, so that copies and files of it stay the same network.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_fastreid: Tensor | None
        self.register_buffer("is_fastreid", None)
        self.register_load_state_dict_pre_hook(_follow_the_mark)

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        if self.is_fastreid is None:
            return nn.functional.max_pool2d(maps_BCHW, 3, stride=2, padding=1)
        return nn.functional.max_pool2d(maps_BCHW, 3, stride=2, ceil_mode=True)

    def become_fastreid(self) -> None:
        """Pool as fast-reid does from now on."""
        if self.is_fastreid is None:
            self.is_fastreid = torch.ones((), dtype=torch.bool)


class ResNetBackbone(nn.Module):
    """Maps images (B, 3, H, W) to maps (B, 2048 or 512, H/16, W/16), or H/32, W/32 with last stride 2."""

    def __init__(self, network: torchvision_resnet.ResNet) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu = network.conv1, network.bn1, network.relu
        self.maxpool = StemPooling()
        self.layer1, self.layer2 = network.layer1, network.layer2
        self.layer3, self.layer4 = network.layer3, network.layer4

    def forward(self, images_BCHW: Tensor) -> Tensor:
        maps = self.maxpool(self.relu(self.bn1(self.conv1(images_BCHW))))
        maps_BCHW: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        return maps_BCHW


def build_resnet(depth: str, *, last_stride: int, with_ibn: bool) -> ResNetBackbone:
    """Return a ResNet with random weights, drawn from torch's global generator.

    Args:
        depth: a key of `DEPTHS`.
        last_stride: 1 or 2, stride of the last stage.
        with_ibn: IBN-a in the first three stages.
    """
    backbone = ResNetBackbone(DEPTHS[depth](weights=None))
    _set_stride(backbone.layer4[0], last_stride)
    if with_ibn:
        for stage in (backbone.layer1, backbone.layer2, backbone.layer3):
            for block in stage:
                block.bn1 = InstanceBatchNorm(block.bn1.num_features)
    return backbone


def _set_stride(block: nn.Module, stride: int) -> None:
    assert isinstance(block, torchvision_resnet.BasicBlock | torchvision_resnet.Bottleneck)
    strided = block.conv2 if isinstance(block, torchvision_resnet.Bottleneck) else block.conv1
    strided.stride = (stride, stride)
    assert block.downsample is not None
    block.downsample[0].stride = (stride, stride)


def _follow_the_mark(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    if f"{prefix}is_fastreid" in state_dict:
        assert isinstance(module, StemPooling)
        module.become_fastreid()
