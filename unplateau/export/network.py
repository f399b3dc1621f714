"""The model as it is exported: pictures in, embeddings out. B batch, D embedding dim, C/H/W image."""

import torch
from torch import Tensor, nn

from unplateau.models.reid import ReidModel


class EmbeddingNetwork(nn.Module):
    """What the evaluation ranks by: the embedding, averaged with the mirror image's where the evaluation does so."""

    def __init__(self, model: ReidModel, *, flip: bool) -> None:
        super().__init__()
        self.model = model
        self._flip = flip

    def forward(self, images_BCHW: Tensor, camera_ids_B: Tensor | None = None) -> Tensor:
        """Return embeddings_BD, float32."""
        embeddings_BD: Tensor = self.model(images_BCHW, camera_ids_B=camera_ids_B).embeddings_BD
        if not self._flip:
            return embeddings_BD
        mirrored_BCHW = torch.flip(images_BCHW, dims=(3,))
        mirrored_BD: Tensor = self.model(mirrored_BCHW, camera_ids_B=camera_ids_B).embeddings_BD
        return (embeddings_BD + mirrored_BD) / 2
