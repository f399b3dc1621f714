"""From images to embeddings: the only file of this layer that needs torch. The model itself is handed in as a function.

Shapes: B batch, N images, D embedding dim, C/H/W image.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from unplateau.base.errors import DataError
from unplateau.evaluation.embedded import Embedded

Embed = Callable[[Tensor, Tensor], Tensor]
Batches = Iterable[tuple[Tensor, ArrayLike | Tensor, ArrayLike | Tensor]]


@torch.inference_mode()
def extract(embed: Embed, batches: Batches, *, flip: bool = False, autocast: torch.dtype | None = None) -> Embedded:
    """Embed images batch by batch.

    Args:
        embed: (images_BCHW, camera_ids_B) -> embeddings_BD; a network in eval mode, which is the caller's doing.
        batches: (images_BCHW on the network's device, person_ids_B, camera_ids_B), in the order wanted.
        flip: average the embedding with that of the mirrored image.
        autocast: compute in this type where it is safe (torch.autocast); None is the network's own precision.

    Returns:
        Embeddings in single precision, in the order of the images.

    Raises:
        DataError: there are no images.
    """
    features: list[NDArray[np.float32]] = []
    person_ids: list[NDArray[np.int64]] = []
    camera_ids: list[NDArray[np.int64]] = []
    waiting: Tensor | None = None
    for images_BCHW, person_ids_B, camera_ids_B in batches:
        cameras_B = torch.as_tensor(camera_ids_B, device=images_BCHW.device)
        with _precision(images_BCHW.device, autocast):
            embeddings_BD = _embed_both_ways(embed, images_BCHW, cameras_B) if flip else embed(images_BCHW, cameras_B)
        if waiting is not None:  # one batch late, so that the device has the next one to work on meanwhile
            features.append(waiting.float().cpu().numpy())  # synchronises the device
        waiting = embeddings_BD
        person_ids.append(_as_array(person_ids_B))
        camera_ids.append(_as_array(camera_ids_B))
    if waiting is None:
        raise DataError("There are no images to embed; expected at least one batch. Check the query and gallery folders.")
    features.append(waiting.float().cpu().numpy())
    return Embedded(np.concatenate(features), np.concatenate(person_ids), np.concatenate(camera_ids))


def _embed_both_ways(embed: Embed, images_BCHW: Tensor, camera_ids_B: Tensor) -> Tensor:
    mirrored_BCHW = torch.flip(images_BCHW, dims=(3,))
    return (embed(images_BCHW, camera_ids_B).float() + embed(mirrored_BCHW, camera_ids_B).float()) / 2


def _precision(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[object]:
    return torch.autocast(device.type, dtype=dtype) if dtype else nullcontext()


def _as_array(ids_B: ArrayLike | Tensor) -> NDArray[np.int64]:
    return np.asarray(ids_B.cpu() if isinstance(ids_B, Tensor) else ids_B, np.int64)
