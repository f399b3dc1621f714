"""What build_model checks and notes beyond the backbones' contract."""

import pytest
import torch

from unplateau.base.errors import ConfigError
from unplateau.models.build import build_model

from .making import config_of


def test_identities_of_the_configuration_must_agree_with_the_data() -> None:
    config = config_of(heads={"NUM_CLASSES": 751})
    with pytest.raises(ConfigError, match="751.*676 training identities"):
        build_model(config, num_identities=676, num_cameras=6)
    assert build_model(config, num_identities=751, num_cameras=6).model.head.classifier.weight.shape == (751, 192)


def test_a_model_for_scoring_has_no_classifier() -> None:
    model = build_model(config_of(heads={"NUM_CLASSES": 751}), num_identities=0, num_cameras=0).model
    assert model.head.classifier is None
    assert model.train()(torch.zeros(2, 3, 64, 32)).logits_BI is None


def test_a_wrong_feature_width_is_refused() -> None:
    with pytest.raises(ConfigError, match="FEAT_DIM is 2048, but build_tiny_backbone gives 192"):
        build_model(config_of(FEAT_DIM=2048), num_identities=2, num_cameras=0)


def test_identity_pooling_needs_a_backbone_that_gives_vectors(own_module: str) -> None:
    with pytest.raises(ConfigError, match="POOL_LAYER is Identity"):
        build_model(config_of(heads={"POOL_LAYER": "Identity"}), num_identities=2, num_cameras=0)
    vectors = build_model(config_of("my_backbones:vectors", heads={"POOL_LAYER": "Identity"}), num_identities=2, num_cameras=0)
    assert vectors.model.feature_dim == 6


def test_keys_without_effect_are_noted() -> None:
    notes = build_model(config_of("mobilenetv2_100", heads={"SCALE": 30.0}), num_identities=2, num_cameras=0).notes
    assert any("LAST_STRIDE" in note for note in notes)
    assert any("SCALE" in note for note in notes)
    assert build_model(config_of(), num_identities=2, num_cameras=0).notes == ()


def test_the_head_starts_alike_whatever_the_backbone() -> None:
    heads = [
        build_model(config_of("build_resnet_backbone", DEPTH="18x", WITH_IBN=ibn), num_identities=3, num_cameras=0).model.head
        for ibn in (False, True)
    ]
    assert torch.equal(heads[0].classifier.weight, heads[1].classifier.weight)


def test_images_a_network_cannot_take_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"cannot take images of 64 x 32 \(INPUT.SIZE_TRAIN\)"):
        build_model(config_of("efficientformer_l1"), num_identities=2, num_cameras=0)
