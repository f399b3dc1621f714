"""Held-out identities: a retrieval problem made of training images, for validation in every epoch.

What a model is chosen by must not be what it is judged by, so some identities are kept out of training and searched
for among themselves, under the same camera rule as the test set. Such an mAP is another quantity than test mAP: its
gallery is far smaller. Chance level and gallery size belong beside it.

Shapes: N images.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unplateau.base.randomness import stream_seed
from unplateau.evaluation.embedded import JUNK_PERSON, UNKNOWN_CAMERA

Rows = NDArray[np.int64]

_TIMES_THE_MINIMUM = 3  # fewer identities than this are all needed for training


@dataclass(frozen=True)
class HeldOut:
    """Training images divided in three: each image is trained on, a query, or gallery."""

    train_rows: Rows
    query_rows: Rows
    gallery_rows: Rows
    person_ids: Rows
    """Identities held out, ascending."""


@dataclass(frozen=True)
class NotHeldOut:
    """Why no identities were held out; validation is then on query/gallery, or left out."""

    reason: str


def hold_out(
    person_ids_N: Rows, camera_ids_N: Rows, *, share: float = 0.1, minimum: int = 20, seed: int = 0
) -> HeldOut | NotHeldOut:
    """Choose identities at random and divide their images into query and gallery.

    Only identities that can be searched for are chosen: seen by two cameras, or, where cameras are unknown, in two
    images. One query is drawn for each identity and camera (for each identity where cameras are unknown), the rest is
    gallery. A query whose person the gallery would show from no other camera goes to the gallery instead, last camera
    first: of a person with one image from each of two cameras, the first is the query and the second its match.

    Args:
        person_ids_N, camera_ids_N: of the training images; camera -1 is unknown. Junk (person -1) is trained on.
        share: of the identities, 0 to 1.
        minimum: at least so many identities, where there are three times as many.
        seed: the run's; the same seed and images give the same choice.

    Returns:
        The division, or why there is none.
    """
    persons_N, cameras_N = np.asarray(person_ids_N, np.int64), np.asarray(camera_ids_N, np.int64)
    images_of = _images_by_person(persons_N)
    searchable = [person for person, rows in images_of.items() if _is_searchable(cameras_N[rows])]
    reason = _reason_against(len(images_of), len(searchable), share, minimum)
    if reason:
        return NotHeldOut(reason)
    rng = np.random.default_rng(stream_seed(seed, "held-out identities"))
    wanted = min(max(minimum, round(share * len(images_of))), len(searchable))
    chosen = np.sort(rng.permutation(searchable)[:wanted])
    queries = [_draw_queries(images_of[person], cameras_N, rng) for person in chosen.tolist()]
    return _divide(persons_N, chosen, np.sort(np.concatenate(queries)))


def _reason_against(num_identities: int, num_searchable: int, share: float, minimum: int) -> str:
    if share <= 0:
        return "no identities were asked to be held out (share 0)"
    if num_identities < _TIMES_THE_MINIMUM * minimum:
        return (
            f"there are {num_identities} identities, too few to hold {minimum} of them out of training "
            f"(that takes {_TIMES_THE_MINIMUM * minimum})"
        )
    if num_searchable < minimum:
        return (
            f"only {num_searchable} of the {num_identities} identities are seen by two cameras, or in two images with "
            f"cameras unknown; {minimum} are needed"
        )
    return ""


def _images_by_person(persons_N: Rows) -> dict[int, Rows]:
    order = np.argsort(persons_N, kind="stable")
    persons, starts = np.unique(persons_N[order], return_index=True)
    groups = zip(persons.tolist(), np.split(order, starts[1:]), strict=True) if len(persons) else []
    return {person: rows for person, rows in groups if person != JUNK_PERSON}


def _is_searchable(cameras: Rows) -> bool:
    return len(np.unique(cameras)) > 1 or (len(cameras) > 1 and cameras[0] == UNKNOWN_CAMERA)


def _draw_queries(rows: Rows, cameras_N: Rows, rng: np.random.Generator) -> Rows:
    """Draw one image for each known camera of a person (or one in all), and keep those that have a match left."""
    cameras = cameras_N[rows]
    known = np.unique(cameras[cameras != UNKNOWN_CAMERA]).tolist()
    queries = {camera: int(rng.choice(rows[cameras == camera])) for camera in known or [UNKNOWN_CAMERA]}
    for camera in reversed(known):
        gallery = np.setdiff1d(rows, list(queries.values()))
        if not (cameras_N[gallery] != camera).any():
            del queries[camera]
    return np.array(list(queries.values()), np.int64)


def _divide(persons_N: Rows, chosen: Rows, query_rows: Rows) -> HeldOut:
    is_held_out_N = np.isin(persons_N, chosen)
    gallery_rows = np.setdiff1d(np.flatnonzero(is_held_out_N), query_rows)
    return HeldOut(np.flatnonzero(~is_held_out_N), query_rows, gallery_rows, chosen)
