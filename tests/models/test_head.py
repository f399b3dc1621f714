"""The embedding head: which feature goes where."""

import pytest
import torch
from torch import nn

from unplateau.config.schema_model import Heads
from unplateau.models.head import EmbeddingHead


def head_of(num_identities: int = 3, **keys: object) -> EmbeddingHead:
    return EmbeddingHead(Heads.model_validate(keys), 8, num_identities=num_identities, takes_vectors=True)


def test_neck_feat_chooses_what_metric_losses_see() -> None:
    features_BD = torch.randn(6, 8)
    before = head_of(WITH_BNNECK=True, NECK_FEAT="before")(features_BD)
    assert torch.equal(before.features_BD, features_BD) and not torch.equal(before.embeddings_BD, features_BD)
    after = head_of(WITH_BNNECK=True, NECK_FEAT="after")(features_BD)
    assert torch.equal(after.features_BD, after.embeddings_BD)


def test_reduction_narrows_the_embedding_and_leaves_features_before_the_neck_wide() -> None:
    head = head_of(EMBEDDING_DIM=4, WITH_BNNECK=True)
    outputs = head(torch.randn(6, 8))
    assert (head.feature_dim, head.embedding_dim) == (8, 4)
    assert outputs.features_BD.shape == (6, 8) and outputs.embeddings_BD.shape == (6, 4)
    assert head_of(EMBEDDING_DIM=4, NECK_FEAT="after").feature_dim == 4


def test_the_bnnecks_bias_stays_frozen_at_zero() -> None:
    neck = head_of(WITH_BNNECK=True).neck
    assert isinstance(neck, nn.BatchNorm1d)
    assert not neck.bias.requires_grad and neck.weight.requires_grad
    assert torch.equal(neck.bias, torch.zeros(8))


def test_logits_come_in_training_only() -> None:
    head = head_of()
    assert head(torch.randn(2, 8)).logits_BI.shape == (2, 3)
    assert head.eval()(torch.randn(2, 8)).logits_BI is None
    assert head_of(0).train()(torch.randn(2, 8)).logits_BI is None


def test_only_a_model_that_is_scored_takes_on_torchreids_layer() -> None:
    with pytest.raises(AssertionError):
        head_of(3).adopt_projection(8, 5)
    head = head_of(0, WITH_BNNECK=True).eval()
    head.adopt_projection(8, 5)
    assert head(torch.randn(2, 8)).embeddings_BD.shape == (2, 5) and head.embedding_dim == 5
