"""The whole model under the wrappers it meets: torch.compile and DistributedDataParallel."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from unplateau.models.build import build_model

from .making import config_of

HEADS = {
    "WITH_BNNECK": True,
    "CLS_LAYER": "CircleSoftmax",
    "SCALE": 64.0,
    "MARGIN": 0.35,
    "POOL_LAYER": "GeneralizedMeanPoolingP",
}


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'rendezvous'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize("name", ["build_tiny_backbone", "build_resnet_backbone", "vit_tiny_patch16_224"])
def test_no_parameter_is_unused_in_distributed_training(name: str, one_process: None) -> None:
    has_cameras = name.startswith("vit")
    config = config_of(name, heads=HEADS, DEPTH="18x", SIE_CAMERA=has_cameras)
    wrapped = DistributedDataParallel(build_model(config, num_identities=3, num_cameras=2).model)
    for _ in range(2):  # the second step raises if the first left a parameter out
        outputs = wrapped(
            torch.randn(4, 3, 64, 32), person_ids_B=torch.tensor([0, 0, 1, 2]), camera_ids_B=torch.tensor([0, 1, -1, -1])
        )
        (outputs.logits_BI.square().sum() + outputs.features_BD.square().sum()).backward()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["build_tiny_backbone", "build_resnet_backbone"])
def test_the_model_is_traced_whole_and_unchanged(name: str) -> None:
    model = build_model(config_of(name, heads=HEADS, DEPTH="18x"), num_identities=3, num_cameras=0).model
    traced = torch.compile(model, backend="eager", fullgraph=True)
    images_BCHW, person_ids_B = torch.randn(4, 3, 64, 32), torch.tensor([0, 0, 1, 2])
    torch.testing.assert_close(
        traced(images_BCHW, person_ids_B=person_ids_B).logits_BI, model(images_BCHW, person_ids_B=person_ids_B).logits_BI
    )
