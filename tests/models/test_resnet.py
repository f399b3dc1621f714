"""ResNet against torchvision's, and what re-ID changes in it."""

import copy

import pytest
import torch
import torchvision
from torch import nn

from unplateau.models.resnet import InstanceBatchNorm, StemPooling, build_resnet


@pytest.mark.parametrize("depth", ["18x", "50x"])
def test_with_last_stride_two_it_is_torchvisions_network(depth: str) -> None:
    theirs = getattr(torchvision.models, f"resnet{depth[:-1]}")(weights=None).eval()
    ours = build_resnet(depth, last_stride=2, with_ibn=False).eval()
    result = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert result.missing_keys == [] and set(result.unexpected_keys) == {"fc.weight", "fc.bias"}
    images_BCHW = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        torch.testing.assert_close(theirs.fc(ours(images_BCHW).mean(dim=(2, 3))), theirs(images_BCHW))


@pytest.mark.parametrize(("depth", "channels"), [("18x", 512), ("50x", 2048)])
def test_last_stride_one_doubles_the_map(depth: str, channels: int) -> None:
    assert build_resnet(depth, last_stride=1, with_ibn=False)(torch.zeros(1, 3, 128, 64)).shape == (1, channels, 8, 4)
    assert build_resnet(depth, last_stride=2, with_ibn=False)(torch.zeros(1, 3, 128, 64)).shape == (1, channels, 4, 2)


def test_ibn_sits_in_the_first_norm_of_each_block_of_the_first_three_stages() -> None:
    backbone = build_resnet("50x", last_stride=1, with_ibn=True)
    where = {name for name, module in backbone.named_modules() if isinstance(module, InstanceBatchNorm)}
    assert where == {f"layer{stage}.{block}.bn1" for stage, blocks in ((1, 3), (2, 4), (3, 6)) for block in range(blocks)}


def test_ibn_normalises_half_by_image_and_half_by_batch() -> None:
    norm = InstanceBatchNorm(6).train()
    maps_BCHW = torch.randn(3, 6, 4, 2) * 3 + 1
    by_image = nn.functional.instance_norm(maps_BCHW[:, :3])
    by_batch = nn.functional.batch_norm(maps_BCHW[:, 3:], None, None, training=True)
    torch.testing.assert_close(norm(maps_BCHW), torch.cat([by_image, by_batch], dim=1))


def test_fast_reids_stem_pooling_travels_with_copies_and_state_dicts() -> None:
    marked, plain = StemPooling(), StemPooling()
    assert list(plain.state_dict()) == []
    marked.become_fastreid()
    maps_BCHW = torch.randn(1, 2, 8, 6)
    expected = nn.MaxPool2d(3, stride=2, ceil_mode=True)(maps_BCHW)
    assert not torch.equal(plain(maps_BCHW), expected)
    plain.load_state_dict(marked.state_dict())
    for pooling in (marked, plain, copy.deepcopy(marked)):
        assert torch.equal(pooling(maps_BCHW), expected)
