"""Camera embedding of a vision transformer: TransReID's side information embedding (SIE). B batch, D token width, C/H/W image.

He et al. 2021, arXiv 2102.04378, section 3.3, cameras only. Differs where a camera is unknown: nothing is added.
"""

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

INITIAL_STD = 0.02  # TransReID's


class CameraEmbedding(nn.Module):
    """One learned vector a camera, times a fixed weight.

    Attributes:
        table: (cameras, D).
    """

    def __init__(self, num_cameras: int, width: int, *, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.table = nn.Parameter(torch.empty(num_cameras, width))
        nn.init.normal_(self.table, std=INITIAL_STD)

    def make_room_for(self, num_cameras: int) -> None:
        """Replace the table by one of zeros for so many cameras, which a file's is then loaded into."""
        self.table = nn.Parameter(self.table.new_zeros(num_cameras, self.table.shape[1]))

    def forward(self, camera_ids_B: Tensor) -> Tensor:
        """Return what is added to every token, (B, 1, D); zero for cameras that training did not see (-1 and too large)."""
        num_cameras = self.table.shape[0]
        is_known_B = (camera_ids_B >= 0) & (camera_ids_B < num_cameras)
        rows_BD = self.table[torch.where(is_known_B, camera_ids_B, 0)]
        return (self.weight * rows_BD * is_known_B[:, None]).unsqueeze(1)


def forward_with_cameras(network: nn.Module, images_BCHW: Tensor, added_B1D: Tensor) -> Tensor:
    """Run a timm ViT with `added_B1D` added to its tokens after the position embedding; returns pooled features (B, D).

    Follows timm's `VisionTransformer.forward`, which has no place for such a sum.
    """
    assert isinstance(network, VisionTransformer)
    tokens = network._pos_embed(network.patch_embed(images_BCHW)) + added_B1D
    tokens = network.blocks(network.norm_pre(network.patch_drop(tokens)))
    pooled_BD: Tensor = network.forward_head(network.norm(tokens), pre_logits=True)
    return pooled_BD
