"""Networks of every kind can be exported: maps and tokens, poolings, camera embeddings, reductions, no neck."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unplateau.config.delta import from_plain
from unplateau.export.files import ExportError, write_model_files
from unplateau.export.search_gallery import ExportedModel
from unplateau.models.build import build_model
from unplateau.models.reid import ReidModel
from unplateau.workflows.exporting.export_parity import parity_on_noise

CASES: dict[str, dict[str, Any]] = {
    "learned GeM": {"MODEL.HEADS.POOL_LAYER": "GeneralizedMeanPoolingP", "MODEL.HEADS.WITH_BNNECK": True},
    "largest and mean, reduction": {"MODEL.HEADS.POOL_LAYER": "AdaptiveAvgMaxPool", "MODEL.HEADS.EMBEDDING_DIM": 16},
    "flip": {"TEST.FLIP.ENABLED": True, "MODEL.HEADS.WITH_BNNECK": True},
    "ViT with camera embedding": {"MODEL.BACKBONE.NAME": "vit_tiny_patch16_224", "MODEL.BACKBONE.SIE_CAMERA": True},
}
SLOW: dict[str, dict[str, Any]] = {
    "ResNet-50-IBN": {"MODEL.BACKBONE.NAME": "build_resnet_backbone", "MODEL.BACKBONE.WITH_IBN": True},
    "OSNet": {"MODEL.BACKBONE.NAME": "build_osnet_backbone", "MODEL.BACKBONE.DEPTH": "x0_25"},
    "MobileNetV2": {"MODEL.BACKBONE.NAME": "mobilenetv2_100"},
    "Swin": {
        "MODEL.BACKBONE.NAME": "swin_tiny_patch4_window7_224",
        "INPUT.SIZE_TEST": (224, 112),
        "INPUT.SIZE_TRAIN": (224, 112),
    },
}


def exported(folder: Path, changes: dict[str, Any]) -> tuple[ReidModel, ExportedModel, Any]:
    fixed = {"MODEL.BACKBONE.NAME": "build_tiny_backbone", "INPUT.SIZE_TRAIN": (64, 32), "INPUT.SIZE_TEST": (64, 32)}
    config = from_plain({**fixed, "MODEL.DEVICE": "cpu", **changes})
    model = build_model(config, num_identities=0, num_cameras=3).model.eval().requires_grad_(False)
    write_model_files(folder, model, config)
    return model, ExportedModel(folder), config


@pytest.mark.parametrize(
    "changes", [pytest.param(case, id=name) for name, case in CASES.items()]
    + [pytest.param(case, id=name, marks=pytest.mark.slow) for name, case in SLOW.items()],
)  # fmt: skip
def test_the_exported_network_embeds_as_the_network_does(tmp_path: Path, changes: dict[str, Any]) -> None:
    model, onnx_model, config = exported(tmp_path, changes)
    parity = parity_on_noise(model, onnx_model, config)
    assert parity.problems == () and parity.largest_value > 0


def test_the_camera_of_a_picture_counts_and_an_unknown_one_adds_nothing(tmp_path: Path) -> None:
    model, onnx_model, _ = exported(tmp_path, CASES["ViT with camera embedding"])
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 32, 3), np.uint8)
    unknown, first = onnx_model.embed(pixels), onnx_model.embed(pixels, np.array([0, 0]))
    assert np.abs(unknown - first).max() > 1e-3
    assert np.array_equal(unknown, onnx_model.embed(pixels, np.array([-1, 99])))
    assert model.camera_embedding is not None


class Stubborn(torch.nn.Module):
    """Its output depends on a number that only running it gives, which ONNX cannot hold."""

    num_features = 3

    def forward(self, images_BCHW: torch.Tensor) -> torch.Tensor:
        if images_BCHW.mean().item() > 0:
            return images_BCHW
        return -images_BCHW


def stubborn() -> torch.nn.Module:
    """Return a Stubborn, for MODEL.BACKBONE.NAME."""
    return Stubborn()


def test_a_network_that_onnx_cannot_hold_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot be written as ONNX: "):
        exported(tmp_path, {"MODEL.BACKBONE.NAME": "tests.export.test_networks:stubborn"})
