"""The evaluation done again by plain means: files prepared as configured, the trained weights, the items' own ids.

Cost: 1 F an image. What the run hands to the network, embeds and ranks is compared with that row by row, so a difference also
says where it comes in.

Shape legend: N images, D embedding dim, C/H/W image.
"""

import numpy as np
import torch
from torch import Tensor

from unplateau.base.errors import DataError
from unplateau.evaluation.embedded import Embedded
from unplateau.evaluation.ranking import retrieve
from unplateau.runs.record import Measurement

_IMAGE_APART = 0.02  # relative; half of a grey level is below 0.01
_ROW_APART = 0.05  # of unit length; half precision and kernels of other batch sizes differ by up to 0.01


@torch.no_grad()
def images_again(plain_NCHW: Tensor, evaluated_NCHW: Tensor, *, group: str = "") -> tuple[Measurement, ...]:
    """Compare images as the evaluation hands them over with the same files, prepared plainly.

    Returns:
        evaluation_images_differ (share of the images).
    """
    if plain_NCHW.shape != evaluated_NCHW.shape:
        return (Measurement("evaluation_images_differ", 1.0, "share", group=group, note="another shape"),)
    plain_ND, evaluated_ND = plain_NCHW.double().flatten(1), evaluated_NCHW.double().flatten(1)
    apart_N = (plain_ND - evaluated_ND).norm(dim=1) / plain_ND.norm(dim=1).clamp(min=1e-30)
    return (Measurement("evaluation_images_differ", float((apart_N > _IMAGE_APART).double().mean()), "share", group=group),)


def rows_again(plain: Embedded, scored: Embedded, *, group: str = "") -> tuple[Measurement, ...]:
    """Compare embeddings and ids that the run ranks with those of the plain evaluation, in the same order.

    Returns:
        evaluation_rows_differ (share of rows that point elsewhere), evaluation_people_differ and evaluation_cameras_differ
        (shares of rows with another id).
    """
    if plain.features_ND.shape != scored.features_ND.shape:
        apart = 1.0
    else:
        apart = float((np.linalg.norm(_unit(plain.features_ND) - _unit(scored.features_ND), axis=1) > _ROW_APART).mean())
    same_length = len(plain) == len(scored)
    people = float((plain.person_ids_N != scored.person_ids_N).mean()) if same_length else 1.0
    cameras = float((plain.camera_ids_N != scored.camera_ids_N).mean()) if same_length else 1.0
    return (
        Measurement("evaluation_rows_differ", apart, "share", group=group),
        Measurement("evaluation_people_differ", people, "share", group=group),
        Measurement("evaluation_cameras_differ", cameras, "share", group=group),
    )


def score_again(query: Embedded, gallery: Embedded) -> tuple[Measurement, ...]:
    """Rank the plain evaluation's embeddings.

    Returns:
        map_again; None where no query has a match that counts.
    """
    try:
        return (Measurement("map_again", retrieve(query, gallery).metrics.mAP, "mAP", note=f"{len(query)} queries"),)
    except DataError:
        return (Measurement("map_again", None, "mAP", note="no query has a match that counts"),)


def _unit(features_ND: np.ndarray) -> np.ndarray:
    lengths_N1: np.ndarray = np.linalg.norm(features_ND.astype(np.float64), axis=1, keepdims=True)
    return features_ND / np.maximum(lengths_N1, 1e-12)
