"""Poolings against their definitions."""

import pytest
import torch

from unplateau.models.pooling import build_pooling


def test_poolings_follow_their_definitions() -> None:
    maps_BCHW = torch.rand(2, 3, 4, 2) + 0.1
    flat_BCN = maps_BCHW.flatten(2)
    expected = {
        "GlobalAvgPool": flat_BCN.mean(dim=2),
        "FastGlobalAvgPool": flat_BCN.mean(dim=2),
        "GlobalMaxPool": flat_BCN.max(dim=2).values,
        "AdaptiveAvgMaxPool": flat_BCN.mean(dim=2) + flat_BCN.max(dim=2).values,
        "GeneralizedMeanPooling": flat_BCN.pow(3).mean(dim=2).pow(1 / 3),
        "GeneralizedMeanPoolingP": flat_BCN.pow(3).mean(dim=2).pow(1 / 3),
    }
    for name, pooled_BC in expected.items():
        torch.testing.assert_close(build_pooling(name, takes_vectors=False)(maps_BCHW), pooled_BC)


def test_only_generalised_mean_pooling_p_learns() -> None:
    assert [name for name, _ in build_pooling("GeneralizedMeanPoolingP", takes_vectors=False).named_parameters()] == ["p"]
    assert not list(build_pooling("GeneralizedMeanPooling", takes_vectors=False).state_dict())


def test_generalised_mean_pooling_survives_zeros_negatives_and_half_precision() -> None:
    pooling = build_pooling("GeneralizedMeanPoolingP", takes_vectors=False)
    maps_BCHW = torch.tensor([0.0, -5.0, 60.0, 60.0]).reshape(1, 1, 2, 2).half().requires_grad_()  # 60 cubed overflows float16
    pooled_BC = pooling(maps_BCHW)
    pooled_BC.sum().backward()
    assert pooled_BC.item() == pytest.approx((2 * 60.0**3 / 4) ** (1 / 3), rel=1e-4)
    assert torch.isfinite(maps_BCHW.grad).all() and torch.isfinite(pooling.p.grad).all()


def test_vectors_are_not_pooled() -> None:
    features_BD = torch.randn(2, 5)
    assert torch.equal(build_pooling("GlobalMaxPool", takes_vectors=True)(features_BD), features_BD)
