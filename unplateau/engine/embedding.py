"""The network that embeds images for a score: the model itself, or a copy of it that computes the same in less time.

Which way a run takes: `embed_choice`. The copy is made anew for every score, since the weights are others by then.
"""

import copy
import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn

from unplateau.data.loader import Batch
from unplateau.models.folding import folded
from unplateau.runs.embed_choice import EmbedWay

IMAGES_COMPARED = 4  # of a copy that embeds faster with the model, each time one is made
_log = logging.getLogger(__name__)


def embedding_network(model: nn.Module, way: EmbedWay, some: Callable[[], Batch]) -> nn.Module:
    """Return what embeds images in `way`, but for the number format; where nothing can be folded, it computes unfolded.

    Args:
        model: in evaluation mode and single precision; it is left as it is.
        way: how.
        some: gives a few images, on which a folded copy is compared with the model.
    """
    if way.is_folded:
        copied = folded_network(model, way, some())
        if copied is not None:
            return copied
        _log.info("No batch norm is folded: the network has none that can be, or it would embed otherwise.")
    layout = layout_of(way)
    if all(tensor.is_contiguous(memory_format=layout) for tensor in model.parameters() if tensor.dim() == 4):
        return model
    return copy.deepcopy(model).to(memory_format=layout)


def folded_network(model: nn.Module, way: EmbedWay, few: Batch) -> nn.Module | None:
    """Return a copy with batch norms folded, in the layout of `way`; None where none can be, or it would embed these images
    otherwise."""
    copied = folded(model, lambda network: embed(network, few.images_BCHW, few.camera_ids_B))
    return None if copied is None else copied.to(memory_format=layout_of(way))


def layout_of(way: EmbedWay) -> torch.memory_format:
    """Return how images and convolutions lie in memory."""
    return torch.channels_last if way.channels_last else torch.contiguous_format


def embed(network: nn.Module, images_BCHW: Tensor, camera_ids_B: Tensor) -> Tensor:
    """Return embeddings_BD, as a score ranks them."""
    embeddings_BD: Tensor = network(images_BCHW, camera_ids_B=camera_ids_B).embeddings_BD
    return embeddings_BD
