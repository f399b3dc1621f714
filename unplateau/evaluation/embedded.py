"""Embedded images as plain arrays: what ranking reads and extraction gives. Files of them: `features_file`.

Shapes: N images, D embedding dim.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unplateau.base.errors import DataError

JUNK_PERSON = -1
"""Market-1501's label of badly detected boxes: such a gallery image is neither a match nor a mistake."""

UNKNOWN_CAMERA = -1
"""Camera of an image that came without one: the camera rule does not apply to it."""


@dataclass(frozen=True)
class Embedded:
    """Embeddings of images with who and which camera they show; anything array-like is converted once, here.

    Args:
        features_ND: one row an image, kept as contiguous float32 (not copied where it is that already).
        person_ids_N: whole numbers; -1 is junk. Distractors carry any number that no query has (Market-1501: 0).
        camera_ids_N: whole numbers; -1 is unknown.

    Raises:
        DataError: the arrays do not belong together.
    """

    features_ND: NDArray[np.float32]  # noqa: N815
    person_ids_N: NDArray[np.int64]  # noqa: N815
    camera_ids_N: NDArray[np.int64]  # noqa: N815

    def __post_init__(self) -> None:
        features_ND = np.asarray(self.features_ND)
        if features_ND.ndim != 2 or features_ND.dtype.kind not in "fiu":
            raise DataError(
                f"Features have shape {features_ND.shape} and type {features_ND.dtype}; expected real numbers of shape "
                "(images, embedding dim). Flatten each image's feature to one row."
            )
        object.__setattr__(self, "features_ND", np.ascontiguousarray(features_ND, dtype=np.float32))
        object.__setattr__(self, "person_ids_N", _whole_numbers("person ids", self.person_ids_N, len(features_ND)))
        object.__setattr__(self, "camera_ids_N", _whole_numbers("camera ids", self.camera_ids_N, len(features_ND)))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.features_ND)

    def rows(self, rows: NDArray[np.int64]) -> "Embedded":
        """Return these images only, in this order."""
        return Embedded(self.features_ND[rows], self.person_ids_N[rows], self.camera_ids_N[rows])


def _whole_numbers(name: str, values: object, num_images: int) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.shape != (num_images,):
        raise DataError(f"There are {num_images} features and {name} of shape {array.shape}; expected one for each feature.")
    if array.size and array.dtype.kind not in "iu":
        raise DataError(f"The {name} have type {array.dtype}; expected whole numbers. Number them first, with -1 for unknown.")
    return array.astype(np.int64)
