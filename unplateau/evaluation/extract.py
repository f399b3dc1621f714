"""From images to embeddings: the only file of this layer that needs torch. The model itself is handed in as a function.

Shapes: B batch, N images, D embedding dim, C/H/W image.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

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
    done: list[Embedded] = []
    waiting: _OnDevice | None = None
    for images_BCHW, person_ids_B, camera_ids_B in batches:
        cameras_B = torch.as_tensor(camera_ids_B, device=images_BCHW.device)
        with _precision(images_BCHW.device, autocast):
            embeddings_BD = _embed_both_ways(embed, images_BCHW, cameras_B) if flip else embed(images_BCHW, cameras_B)
        if waiting is not None:  # one batch late, so that the device has the next one to work on meanwhile
            done.append(waiting.read())
        waiting = _OnDevice(embeddings_BD, person_ids_B, camera_ids_B)
    if waiting is None:
        raise DataError("There are no images to embed; expected at least one batch. Check the query and gallery folders.")
    done.append(waiting.read())
    arrays = zip(*((one.features_ND, one.person_ids_N, one.camera_ids_N) for one in done), strict=True)
    return Embedded(*(np.concatenate(pieces) for pieces in arrays))


@dataclass(frozen=True)
class _OnDevice:
    """A batch that was given to the device and may not be done yet; reading any part of it waits for all that was given."""

    embeddings_BD: Tensor
    person_ids_B: ArrayLike | Tensor
    camera_ids_B: ArrayLike | Tensor

    def read(self) -> Embedded:
        """Return it as arrays. Synchronises the GPU."""
        features_BD = self.embeddings_BD.float().cpu().numpy()
        return Embedded(features_BD, _as_array(self.person_ids_B), _as_array(self.camera_ids_B))


def _embed_both_ways(embed: Embed, images_BCHW: Tensor, camera_ids_B: Tensor) -> Tensor:
    mirrored_BCHW = torch.flip(images_BCHW, dims=(3,))
    return (embed(images_BCHW, camera_ids_B).float() + embed(mirrored_BCHW, camera_ids_B).float()) / 2


def _precision(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[object]:
    return torch.autocast(device.type, dtype=dtype) if dtype else nullcontext()


def _as_array(ids_B: ArrayLike | Tensor) -> NDArray[np.int64]:
    return np.asarray(ids_B.cpu() if isinstance(ids_B, Tensor) else ids_B, np.int64)
