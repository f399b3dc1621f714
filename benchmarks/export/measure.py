"""Exports networks of every kind and compares each with its export; writes benchmarks/results/export.md.

    python -m benchmarks.export.measure [--only tiny OSNet]

Weights are random (seed 0); the batch-norm statistics are those of a batch of MiniMarket, so that embeddings have the scale
they have in use. With REID_WEIGHTS naming a folder with torchvision's mobilenet_v2-b0353104.pth, one row has ImageNet weights.
"""

import argparse
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine_line
from unplateau.config.delta import from_plain
from unplateau.config.schema import Config
from unplateau.data.find import find_items
from unplateau.data.loader import EvaluationLoader
from unplateau.export.files import write_model_files
from unplateau.export.parity import Parity
from unplateau.export.search_gallery import ExportedModel
from unplateau.models.build import build_model
from unplateau.models.reid import ReidModel
from unplateau.workflows.exporting.export_parity import parity_on_images

RESULTS = Path(__file__).parents[1] / "results" / "export.md"
IMAGES = 72  # a batch of one, one of three, one of 64 and a rest
SETTLING_IMAGES = 64
SMALL, LARGE = (128, 64), (256, 128)
BNNECK = {"MODEL.HEADS.WITH_BNNECK": True}
GEM = {"MODEL.HEADS.POOL_LAYER": "GeneralizedMeanPoolingP"}
CASES: dict[str, dict[str, Any]] = {
    "tiny network, GeM": {"MODEL.BACKBONE.NAME": "build_tiny_backbone", "INPUT.SIZE_TEST": SMALL, **BNNECK, **GEM},
    "MobileNetV2, flip": {
        "MODEL.BACKBONE.NAME": "mobilenetv2_100", "INPUT.SIZE_TEST": SMALL, **BNNECK, "TEST.FLIP.ENABLED": True,
    },
    "OSNet x0.25, reduction to 128": {
        "MODEL.BACKBONE.NAME": "build_osnet_backbone", "MODEL.BACKBONE.DEPTH": "x0_25", "INPUT.SIZE_TEST": LARGE, **BNNECK,
        "MODEL.HEADS.EMBEDDING_DIM": 128,
    },
    "ResNet-50, bag of tricks": {"MODEL.BACKBONE.NAME": "build_resnet_backbone", "INPUT.SIZE_TEST": LARGE, **BNNECK},
    "ResNet-50-IBN, GeM, NECK_FEAT after, Euclidean": {
        "MODEL.BACKBONE.NAME": "build_resnet_backbone", "MODEL.BACKBONE.WITH_IBN": True, "INPUT.SIZE_TEST": LARGE, **BNNECK,
        **GEM,
        "MODEL.HEADS.NECK_FEAT": "after", "TEST.METRIC": "euclidean",
    },
    "ResNet-50 without BNNeck": {"MODEL.BACKBONE.NAME": "build_resnet_backbone", "INPUT.SIZE_TEST": LARGE},
    "ViT-tiny, overlapping patches, camera embedding": {
        "MODEL.BACKBONE.NAME": "vit_tiny_patch16_224", "MODEL.BACKBONE.STRIDE_SIZE": (12, 12), "MODEL.BACKBONE.SIE_CAMERA": True,
        "INPUT.SIZE_TEST": LARGE, **BNNECK,
    },
    "Swin-tiny": {"MODEL.BACKBONE.NAME": "swin_tiny_patch4_window7_224", "INPUT.SIZE_TEST": (224, 112), **BNNECK},
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One network and its export."""

    name: str
    num_parameters: int
    embedding_dim: int
    onnx_bytes: int
    parity: Parity


def config_of(changes: dict[str, Any]) -> Config:
    """Return a configuration of MiniMarket with this network."""
    fixed = {
        "MODEL.DEVICE": "cpu", "DATASETS.NAMES": ("MiniMarket",), "DATASETS.TESTS": ("MiniMarket",), "DATALOADER.CACHE": "off",
        "DATALOADER.NUM_WORKERS": 0, "INPUT.SIZE_TRAIN": changes["INPUT.SIZE_TEST"], "TEST.IMS_PER_BATCH": 64,
    }  # fmt: skip
    return from_plain({**fixed, **changes})


def settled(model: ReidModel, config: Config) -> ReidModel:
    """Give the model the batch-norm statistics of a batch of images."""
    torch.manual_seed(0)
    model.train()
    for part in model.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            part.momentum = None  # the mean over the batches, instead of a tenth of each
    with torch.no_grad():
        for batch in EvaluationLoader(find_items(config).train[:SETTLING_IMAGES], config, device="cpu"):
            model(batch.images_BCHW, camera_ids_B=batch.camera_ids_B)
    return model.eval().requires_grad_(False)


def measure(name: str, changes: dict[str, Any]) -> Row:
    """Export one network and compare."""
    config = config_of(changes)
    model = settled(build_model(config, num_identities=0, num_cameras=3).model, config)
    with tempfile.TemporaryDirectory() as folder:
        write_model_files(Path(folder), model, config)
        parity = parity_on_images(model, ExportedModel(Path(folder)), config, num_images=IMAGES)
        size = (Path(folder) / "model.onnx").stat().st_size
    return Row(name, sum(parameter.numel() for parameter in model.parameters()), model.embedding_dim, size, parity)


def table(rows: list[Row]) -> str:
    """Return the rows as a table."""
    lines = [
        "| network | parameters | dim | file | largest move | raw: largest difference, largest number | mAP before, after "
        "| rank-1 before, after |",
        "|---|---:|---:|---:|---:|---|---|---|",
    ]
    for row in rows:
        before, after = row.parity.before, row.parity.after
        assert before is not None and after is not None  # parity_on_images ranks
        lines.append(
            f"| {row.name} | {row.num_parameters / 1e6:.2f} M | {row.embedding_dim} | {row.onnx_bytes / 1e6:.1f} MB "
            f"| {row.parity.largest_move:.1e} | {row.parity.largest_difference:.1e}, {row.parity.largest_value:.2g} "
            f"| {before.mAP:.6f}, {after.mAP:.6f} "
            f"| {before.cmc['1']:.6f}, {after.cmc['1']:.6f} |"
        )
    return "\n".join(lines)


def with_real_weights() -> dict[str, dict[str, Any]]:
    """Return a case with ImageNet weights where they are at hand."""
    file = Path(os.environ.get("REID_WEIGHTS", "nowhere")) / "mobilenet_v2-b0353104.pth"
    if not file.is_file():
        return {}
    pretrained = {"MODEL.BACKBONE.PRETRAIN": True, "MODEL.BACKBONE.PRETRAIN_PATH": str(file)}
    return {
        "MobileNetV2, ImageNet weights": {
            "MODEL.BACKBONE.NAME": "mobilenetv2_100",
            "INPUT.SIZE_TEST": LARGE,
            **BNNECK,
            **pretrained,
        }
    }


def main() -> None:
    """Measure all and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument(
        "--only", nargs="*", default=[""], help="beginnings of the names to measure; the page says what is missing"
    )
    chosen = parser.parse_args()
    rows, cases = [], CASES | with_real_weights()
    for name, changes in cases.items():
        if name.startswith(tuple(chosen.only)):
            rows.append(measure(name, changes))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
            chosen.output.write_text(
                text_of(rows, [one for one in cases if one not in {row.name for row in rows}]), encoding="utf-8"
            )


def text_of(rows: list[Row], missing: list[str]) -> str:
    """Return the page."""
    failed = [f"{row.name}: {problem}" for row in rows for problem in row.parity.problems]
    text = [
        "# Exported models beside the trained ones",
        "",
        f"`python -m benchmarks.export.measure`; {machine_line()}, onnxruntime {_version('onnxruntime')}.",
        "",
        f"Random weights, seed 0, batch-norm statistics of {SETTLING_IMAGES} images of MiniMarket; about {IMAGES} of its images,",
        "embedded by the evaluation's loader and torch, and from the image file on by onnxruntime, in batches of 1, 3 and 64.",
        "The scores say nothing about the networks, which are not trained; they have to be equal before and after.",
        "",
        table(rows),
        "",
        "Largest move: how far any embedding moves at the length at which it is compared (one for cosine; for Euclidean, as a",
        "share of the longest). Allowed is 1e-4. Scores have to be equal; where not to the last digit, near ties in other orders",
        "(cosines closer than 1e-5) must explain it. " + ("Failed: " + "; ".join(failed) if failed else "All passed."),
    ]
    if missing:
        text += ["", f"Not measured here: {'; '.join(missing)}."]
    return "\n".join(text) + "\n"


def _version(package: str) -> str:
    import importlib.metadata

    return importlib.metadata.version(package)


if __name__ == "__main__":
    main()
