"""The contract every backbone keeps, and what is refused before any data is read."""

import copy
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from unplateau.base.errors import ConfigError
from unplateau.models.backbones import NAMED
from unplateau.models.build import BuiltModel, build_model, check_backbone

from .making import config_of

ENTRIES: dict[str, dict[str, Any]] = {
    "build_resnet_backbone": {"DEPTH": "18x"},
    "build_resnet_backbone with IBN": {"DEPTH": "50x", "WITH_IBN": True},
    "build_osnet_backbone": {"DEPTH": "x0_25"},
    "build_osnet_backbone with IBN": {"DEPTH": "x0_5", "WITH_IBN": True},
    "build_tiny_backbone": {},
    "mobilenetv2_100": {},
    "tf_efficientnet_lite0": {},
    "mobilenetv3_small_050": {},
    "convnext_atto": {"DROP_PATH_RATIO": 0.0},
    "vit_tiny_patch16_224": {"DROP_PATH_RATIO": 0.0},
    "vit_tiny_patch16_224 with cameras": {"DROP_PATH_RATIO": 0.0, "SIE_CAMERA": True},
    "vit_tiny_patch16_224 with overlap": {"STRIDE_SIZE": (12, 12)},
    "deit_tiny_distilled_patch16_224": {},
    "swin_s3_tiny_224": {"DROP_PATH_RATIO": 0.0},
    "my_backbones:build": {},
    "my_backbones:vectors": {},
}


def built(entry: str, seed: int = 0) -> BuiltModel:
    config = config_of(entry.split(" ")[0], seed=seed, heads={"WITH_BNNECK": True}, **ENTRIES[entry])
    return build_model(config, num_identities=5, num_cameras=3)


def batch() -> tuple[Tensor, dict[str, Tensor]]:
    images_BCHW = torch.randn(4, 3, 64, 32, generator=torch.Generator().manual_seed(1))
    return images_BCHW, {"person_ids_B": torch.tensor([0, 0, 1, 4]), "camera_ids_B": torch.tensor([0, 1, 2, -1])}


def test_every_named_backbone_is_under_contract() -> None:
    assert set(NAMED) <= {entry.split(" ")[0] for entry in ENTRIES}


@pytest.mark.parametrize("entry", ENTRIES)
def test_gradient_reaches_every_trainable_parameter_of(entry: str, own_module: str) -> None:
    model = built(entry).model
    images_BCHW, ids = batch()
    outputs = model(images_BCHW, **ids)
    assert outputs.features_BD.shape == (4, model.feature_dim)
    assert outputs.embeddings_BD.shape == (4, model.embedding_dim)
    assert outputs.logits_BI is not None and outputs.logits_BI.shape == (4, 5)
    weights = torch.linspace(-1.0, 1.0, model.feature_dim)
    (outputs.logits_BI.square().sum() + (outputs.features_BD * weights).sum()).backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []


@pytest.mark.parametrize("entry", ENTRIES)
def test_same_seed_gives_the_same_model_whatever_was_drawn_before(entry: str, own_module: str) -> None:
    first = built(entry).model.state_dict()
    torch.rand(3), random.random(), np.random.rand()  # noqa: NPY002 - the global stream is what is disturbed
    second = built(entry).model.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = built(entry, seed=1).model.state_dict()
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("entry", ["build_resnet_backbone", "vit_tiny_patch16_224", "my_backbones:build"])
def test_building_leaves_every_global_generator_as_it_was(entry: str, own_module: str) -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    built(entry)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    assert np.array_equal(before[2], np.random.get_state()[1])


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_copy_and_another_memory_layout_give_the_same_embeddings(entry: str, own_module: str) -> None:
    model = built(entry).model.eval()
    images_BCHW, ids = batch()
    with torch.no_grad():
        outputs = model(images_BCHW, **ids)
        copied = copy.deepcopy(model)(images_BCHW, **ids)
        layout = torch.channels_last
        laid_out = copy.deepcopy(model).to(memory_format=layout)(images_BCHW.contiguous(memory_format=layout), **ids)
    assert outputs.logits_BI is None
    assert torch.equal(outputs.embeddings_BD, copied.embeddings_BD)
    torch.testing.assert_close(outputs.embeddings_BD, laid_out.embeddings_BD, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("entry", ENTRIES)
def test_mixed_precision_comes_near_single_precision(entry: str, own_module: str) -> None:
    model = built(entry).model.eval()
    images_BCHW, ids = batch()
    with torch.no_grad():
        exact_BD = model(images_BCHW, **ids).embeddings_BD
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough_BD = model(images_BCHW, **ids).embeddings_BD.float()
    assert torch.nn.functional.cosine_similarity(exact_BD, rough_BD).min() > 0.98


def test_a_misspelt_timm_name_is_refused_with_close_names() -> None:
    with pytest.raises(ConfigError, match="Did you mean mobilenetv2_100"):
        check_backbone(config_of("mobilnetv2_100"))
    with pytest.raises(ConfigError, match="Did you mean build_resnet_backbone"):
        check_backbone(config_of("build_resnet_backbon"))


def test_unknown_depths_tags_and_options_are_refused_together() -> None:
    with pytest.raises(ConfigError, match="18x, 34x, 50x, 101x, 152x"):
        check_backbone(config_of("build_resnet_backbone", DEPTH="51x"))
    with pytest.raises(ConfigError, match="has no weights 'nope'"):
        check_backbone(config_of("resnet50.nope"))
    with pytest.raises(ConfigError) as caught:
        check_backbone(config_of("mobilnetv2_100", WITH_IBN=True, PRETRAIN=True, PRETRAIN_PATH="nowhere.pth", WEIGHTS="gone.pth"))
    assert len(caught.value.problems) == 4


def test_options_of_vision_transformers_are_refused_elsewhere() -> None:
    with pytest.raises(ConfigError, match="tokens of a timm ViT"):
        check_backbone(config_of("build_resnet_backbone", SIE_CAMERA=True))
    with pytest.raises(ConfigError, match="plain ViT"):
        build_model(config_of("mobilenetv2_100", SIE_CAMERA=True), num_identities=2, num_cameras=2)
    with pytest.raises(ConfigError, match="no camera"):
        build_model(config_of("vit_tiny_patch16_224", SIE_CAMERA=True), num_identities=2, num_cameras=0)
    with pytest.raises(ConfigError, match="STRIDE_SIZE"):
        build_model(config_of("swin_s3_tiny_224", STRIDE_SIZE=(2, 2)), num_identities=2, num_cameras=0)


def test_overlapping_patches_make_a_larger_grid() -> None:
    model = built("vit_tiny_patch16_224 with overlap").model
    rows, columns = (64 - 16) // 12 + 1, (32 - 16) // 12 + 1
    assert model.backbone.pos_embed.shape == (1, 1 + rows * columns, 192)
