"""The embedding head: pooling, optional reduction, BNNeck, classifier. B batch, D embedding dim, I identities.

BNNeck: Luo et al. 2019, arXiv 1903.07071, section 3.5. Poolings live in `pooling`, classifiers in `classifiers`.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from unplateau.config.schema_model import Heads
from unplateau.models.classifiers import build_classifier
from unplateau.models.pooling import build_pooling


class Outputs(NamedTuple):
    """What a model gives. A tuple, since DistributedDataParallel and torch.compile look inside tuples."""

    features_BD: Tensor  # noqa: N815 - a shape suffix
    """What metric losses see: before or after the BNNeck, by NECK_FEAT."""
    embeddings_BD: Tensor  # noqa: N815
    """What retrieval ranks: after the BNNeck, where there is one."""
    logits_BI: Tensor | None  # noqa: N815
    """None in evaluation mode and in a model without identities."""


class EmbeddingHead(nn.Module):
    """Turns feature maps (or vectors) into features, embeddings and logits.

    As in fast-reid, features "before" are the pooled ones, before the reduction too.

    Attributes:
        feature_dim: width of `features_BD`.
        embedding_dim: width of `embeddings_BD`.
    """

    def __init__(self, config: Heads, backbone_dim: int, *, num_identities: int, takes_vectors: bool) -> None:
        super().__init__()
        self.takes_features_after = config.NECK_FEAT == "after"
        self.embedding_dim = config.EMBEDDING_DIM or backbone_dim
        self.feature_dim = self.embedding_dim if self.takes_features_after else backbone_dim
        self.pooling = build_pooling(config.POOL_LAYER, takes_vectors=takes_vectors)
        self.projection: nn.Module = nn.Identity()
        self.reduction = _reduction(backbone_dim, config.EMBEDDING_DIM)
        self.neck = _bnneck(self.embedding_dim) if config.WITH_BNNECK else nn.Identity()
        self.classifier: nn.Module | None = None
        if num_identities:
            self.classifier = build_classifier(
                config.CLS_LAYER, self.embedding_dim, num_identities, scale=config.SCALE, margin=config.MARGIN
            )

    def forward(self, backbone_output: Tensor, person_ids_B: Tensor | None = None) -> Outputs:
        """Pool, normalise, classify.

        Args:
            backbone_output: maps (B, C, H, W), or vectors (B, D) where `takes_vectors`.
            person_ids_B: labels 0..I-1, int64; margin classifiers need them in training.
        """
        pooled_BD = self.projection(self.pooling(backbone_output))
        embeddings_BD = self.neck(self.reduction(pooled_BD))
        features_BD = embeddings_BD if self.takes_features_after else pooled_BD
        if self.classifier is None or not self.training:
            return Outputs(features_BD, embeddings_BD, None)
        return Outputs(features_BD, embeddings_BD, self.classifier(embeddings_BD, person_ids_B))

    def adopt_projection(self, inputs: int, outputs: int) -> None:
        """Put torchreid's layer (linear, batch norm, ReLU) after the pooling, so that its models score as they did there.

        Args:
            inputs, outputs: widths of the layer.
        """
        assert self.classifier is None, "only a model that is scored takes on another head"
        self.projection = nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True))
        self.reduction, self.neck = nn.Identity(), nn.Identity()
        self.feature_dim = self.embedding_dim = outputs
        self.projection.train(self.training)


def _reduction(inputs: int, outputs: int) -> nn.Module:
    if not outputs:
        return nn.Identity()
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.kaiming_normal_(layer.weight, a=0, mode="fan_out")  # as the strong baseline and fast-reid do
    return layer


def _bnneck(width: int) -> nn.BatchNorm1d:
    neck = nn.BatchNorm1d(width)
    with torch.no_grad():
        neck.weight.fill_(1.0)
        neck.bias.zero_()
    neck.bias.requires_grad_(False)  # Luo et al. 2019: the classifier's hyperplanes shall pass through the origin
    return neck
