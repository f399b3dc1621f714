"""Features in plain NumPy files, ours or another program's: `.npz`, or a folder of `.npy`. Nothing that can run code.

    one set:       features, person_ids, camera_ids (optional)
    two in one:    query_features, query_person_ids, ..., gallery_features, gallery_person_ids, ...

The short names of other trainers are understood too, as listed in `_NAMES`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unplateau.base.archives import refuse_bomb
from unplateau.base.errors import DataError, DataNotFoundError
from unplateau.base.files import replacing
from unplateau.evaluation.embedded import UNKNOWN_CAMERA, Embedded

Arrays = Mapping[str, NDArray[Any]]

_NAMES = {
    "features": ("features", "feats", "embeddings"),
    "person_ids": ("person_ids", "pids", "labels"),
    "camera_ids": ("camera_ids", "camids", "cams"),
}


def read_embedded(path: Path) -> Embedded:
    """Read one set of features; camera ids that are not there are unknown.

    Raises:
        DataNotFoundError: there is no such file or folder.
        DataError: it is no NumPy file, would run code, or lacks features or person ids.
    """
    return _embedded(_read_arrays(path), path, "")


def read_query_and_gallery(path: Path) -> tuple[Embedded, Embedded]:
    """Read query and gallery from one file or folder. Raises as `read_embedded`."""
    arrays = _read_arrays(path)
    return _embedded(arrays, path, "query_"), _embedded(arrays, path, "gallery_")


def write_embedded(path: Path, embedded: Embedded) -> None:
    """Write one set of features as `.npz`, whole or not at all."""
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(
            stream,
            features=embedded.features_ND,
            person_ids=embedded.person_ids_N,
            camera_ids=embedded.camera_ids_N,
        )


def _read_arrays(path: Path) -> Arrays:
    if not path.exists():
        raise DataNotFoundError(f"{path} does not exist; expected features as an .npz file or a folder of .npy files.")
    try:
        if path.is_dir():
            return {file.stem: np.load(file, allow_pickle=False) for file in sorted(path.glob("*.npy"))}
        refuse_bomb(path)
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # of damaged bytes zipfile, zlib and NumPy raise a dozen kinds
        raise DataError(
            f"{path} cannot be read as plain arrays ({error}); expected an .npz file or a folder of .npy files, without "
            "pickled objects. Save with numpy.savez(path, features=..., person_ids=..., camera_ids=...)."
        ) from error


def _embedded(arrays: Arrays, path: Path, prefix: str) -> Embedded:
    features = _find(arrays, prefix, "features")
    person_ids = _find(arrays, prefix, "person_ids")
    camera_ids = _find(arrays, prefix, "camera_ids")
    if features is None or person_ids is None:
        raise DataError(
            f"{path} holds {', '.join(sorted(arrays)) or 'no arrays'}; expected {prefix}features and {prefix}person_ids "
            f"(and {prefix}camera_ids, without which the camera rule cannot apply)."
        )
    if camera_ids is None:
        camera_ids = np.full(len(features), UNKNOWN_CAMERA)
    return Embedded(features, person_ids, camera_ids)


def _find(arrays: Arrays, prefix: str, name: str) -> NDArray[Any] | None:
    return next((arrays[prefix + known] for known in _NAMES[name] if prefix + known in arrays), None)
