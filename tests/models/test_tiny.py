"""The small network of the demonstration."""

import torch

from unplateau.models.tiny import TinyConvNet, build_tiny_backbone


def test_the_feature_map_has_num_features_channels_at_a_sixteenth_of_the_size() -> None:
    backbone = build_tiny_backbone()
    assert isinstance(backbone, TinyConvNet)
    with torch.no_grad():
        features_BCHW = backbone(torch.zeros(2, 3, 128, 64))
    assert features_BCHW.shape == (2, backbone.num_features, 8, 4)


def test_it_is_small_and_every_parameter_gets_a_gradient() -> None:
    backbone = build_tiny_backbone()
    backbone(torch.randn(2, 3, 64, 32)).square().sum().backward()
    assert sum(parameter.numel() for parameter in backbone.parameters()) < 1_000_000
    assert all(parameter.grad is not None for parameter in backbone.parameters())
