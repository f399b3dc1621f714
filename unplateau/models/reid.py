"""The whole network, backbone and head, as training, evaluation and probes see it.

B batch, D embedding dim, I identities, C/H/W image. Choosing and building its parts: `build`.
"""

import torch
from torch import Tensor, nn

from unplateau.models.cameras import CameraEmbedding, forward_with_cameras
from unplateau.models.head import EmbeddingHead, Outputs

__all__ = ["Outputs", "ReidModel"]


class ReidModel(nn.Module):
    """Maps images to features, embeddings and, in training, identity logits.

    Attributes:
        backbone: the network as its authors name its parts, so that public weights load.
        head: pooling, BNNeck (`head.neck`), classifier (`head.classifier`, None without identities).
        camera_embedding: SIE table of a ViT, or None.
    """

    def __init__(
        self, backbone: nn.Module, head: EmbeddingHead, *, gives_channels_last: bool = False,
        camera_embedding: CameraEmbedding | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.camera_embedding = camera_embedding
        self._gives_channels_last = gives_channels_last

    @property
    def feature_dim(self) -> int:
        """Width of `features_BD`, what metric losses see."""
        return self.head.feature_dim

    @property
    def embedding_dim(self) -> int:
        """Width of `embeddings_BD`, what retrieval ranks."""
        return self.head.embedding_dim

    def forward(self, images_BCHW: Tensor, *, person_ids_B: Tensor | None = None, camera_ids_B: Tensor | None = None) -> Outputs:
        """Run the network.

        Args:
            images_BCHW: normalised images, float, 3 channels, of the configured size.
            person_ids_B: labels 0..I-1, int64; margin classifiers need them in training.
            camera_ids_B: int64, -1 = unknown; read by a camera embedding only.

        Returns:
            Features, embeddings and logits (None in evaluation mode).
        """
        return self.head_outputs(self.backbone_output(images_BCHW, camera_ids_B), person_ids_B)

    def backbone_output(self, images_BCHW: Tensor, camera_ids_B: Tensor | None = None) -> Tensor:
        """Return what the backbone gives: maps or vectors; the first half of `forward`."""
        if self.camera_embedding is None:
            output: Tensor = self.backbone(images_BCHW)
            return output
        if camera_ids_B is None:
            camera_ids_B = torch.full((len(images_BCHW),), -1, dtype=torch.long, device=images_BCHW.device)
        return forward_with_cameras(self.backbone, images_BCHW, self.camera_embedding(camera_ids_B))

    def head_outputs(self, backbone_output: Tensor, person_ids_B: Tensor | None = None) -> Outputs:
        """Return what the head makes of the backbone's output; the second half of `forward`."""
        if self._gives_channels_last:
            backbone_output = backbone_output.permute(0, 3, 1, 2)
        outputs: Outputs = self.head(backbone_output, person_ids_B)
        return outputs
