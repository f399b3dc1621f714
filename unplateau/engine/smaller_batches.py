"""Embedding images where a batch does not fit: half as many at a time, and so from then on. B batch, D embedding dim."""

import logging

import torch
from torch import Tensor

from unplateau.base.errors import out_of_memory_words
from unplateau.base.out_of_memory import is_out_of_memory
from unplateau.engine.step_state import give_back_memory
from unplateau.evaluation.extract import Embed

_log = logging.getLogger(__name__)


class SmallerBatches:
    """Finds out how many images can be embedded at once, and remembers it.

    Attributes:
        most_images: at a time; None until a batch did not fit.
    """

    def __init__(self) -> None:
        self.most_images: int | None = None

    def embed(self, embed: Embed, images_BCHW: Tensor, camera_ids_B: Tensor) -> Tensor:
        """Return `embed` of all images, a part of them at a time where all do not fit.

        Args:
            embed: a network in evaluation mode, so that an image's embedding does not depend on the others.
            images_BCHW: a batch.
            camera_ids_B: their cameras.

        Raises:
            torch.OutOfMemoryError: not even one image fits.
        """
        while True:
            at_once = min(self.most_images or len(images_BCHW), len(images_BCHW))
            try:
                pieces = zip(images_BCHW.split(at_once), camera_ids_B.split(at_once), strict=True)
                embeddings = [embed(images, cameras) for images, cameras in pieces]
                return embeddings[0] if len(embeddings) == 1 else torch.cat(embeddings)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or at_once == 1:
                    raise
                problem = out_of_memory_words(error)
            give_back_memory(images_BCHW.device)  # here the error is gone, whose frames held what was computed
            self.most_images = at_once // 2
            _log.warning(
                "Out of memory in embedding %d images (%s): %d at a time from now on.", at_once, problem, self.most_images
            )
