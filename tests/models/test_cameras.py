"""The camera embedding: what it adds, and to whom nothing."""

import pytest
import torch

from unplateau.models.build import build_model
from unplateau.models.cameras import CameraEmbedding

from .making import config_of


def test_a_known_camera_adds_its_weighted_row_and_an_unknown_one_nothing() -> None:
    embedding = CameraEmbedding(2, 5, weight=3.0)
    added = embedding(torch.tensor([1, -1, 2]))
    torch.testing.assert_close(added[0, 0], 3.0 * embedding.table[1])
    assert torch.equal(added[1:], torch.zeros(2, 1, 5))
    assert float(embedding.table.detach().std()) == pytest.approx(0.02, rel=0.8)


def test_with_unknown_cameras_a_transformer_gives_what_timm_gives() -> None:
    config = config_of("vit_tiny_patch16_224", SIE_CAMERA=True)
    model = build_model(config, num_identities=2, num_cameras=3).model.eval()
    images_BCHW = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        expected_BD = model.backbone(images_BCHW)
        torch.testing.assert_close(model(images_BCHW).embeddings_BD, expected_BD)
        torch.testing.assert_close(model(images_BCHW, camera_ids_B=torch.tensor([-1, 7])).embeddings_BD, expected_BD)
        seen_BD = model(images_BCHW, camera_ids_B=torch.tensor([0, 1])).embeddings_BD
    assert not torch.allclose(seen_BD, expected_BD)
