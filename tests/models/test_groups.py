"""Layer groups: every parameter once, named as people name the parts."""

import pytest

from unplateau.models.build import build_model
from unplateau.models.groups import layer_groups

from .making import config_of

HEADS = {"WITH_BNNECK": True, "EMBEDDING_DIM": 16}
CASES = {
    "build_resnet_backbone": ["backbone.stem", *(f"backbone.layer{stage}" for stage in range(1, 5)), "neck", "classifier"],
    "mobilenetv2_100": [
        "backbone.stem", *(f"backbone.blocks.{block}" for block in range(7)), "backbone.conv_head", "backbone.bn2",
        "neck", "classifier",
    ],
    "vit_tiny_patch16_224": [
        "backbone.stem", *(f"backbone.blocks.{block}" for block in range(12)), "backbone.norm",
        "camera_embedding", "neck", "classifier",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_groups_follow_the_network_from_stem_to_classifier(name: str) -> None:
    config = config_of(name, heads=HEADS, DEPTH="18x", SIE_CAMERA=name.startswith("vit"))
    model = build_model(config, num_identities=2, num_cameras=2).model
    groups = layer_groups(model)
    assert list(groups) == CASES[name]
    listed = [parameter for names in groups.values() for parameter in names]
    assert sorted(listed) == sorted(name for name, _ in model.named_parameters())
