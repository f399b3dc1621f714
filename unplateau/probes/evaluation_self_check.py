"""Whether the evaluation itself can be trusted. Cost: one ranking each; batch invariance costs 2 F of a sample.

Shape legend: N images, Q queries, G gallery, D embedding dim, B batch, C/H/W image.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unplateau.base.errors import DataError
from unplateau.evaluation.embedded import Embedded
from unplateau.evaluation.ranking import retrieve
from unplateau.runs.record import Measurement


def shuffled_features(query: Embedded, gallery: Embedded, *, seed: int) -> tuple[Measurement, ...]:
    """Rank with features dealt out at random among all images: anything but chance means that labels leak into the score.

    Returns:
        map_of_shuffled_features, map_by_chance and map_of_shuffled_features_error (standard error over queries).
    """
    features_ND = np.concatenate([query.features_ND, gallery.features_ND])
    features_ND = features_ND[np.random.default_rng(seed).permutation(len(features_ND))]
    result = retrieve(_with(query, features_ND[: len(query)]), _with(gallery, features_ND[len(query) :]))
    precision_Q = result.average_precision_Q
    return (
        Measurement("map_of_shuffled_features", result.metrics.mAP, "mAP"),
        Measurement("map_by_chance", result.metrics.chance_mAP, "mAP"),
        Measurement("map_of_shuffled_features_error", float(precision_Q.std() / max(len(precision_Q), 1) ** 0.5), "mAP"),
    )


@torch.no_grad()
def batch_invariance(embed: Callable[[Tensor], Tensor], images_BCHW: Tensor) -> tuple[Measurement, ...]:
    """Embed images together and one by one: batch statistics in use, or mixed-up rows, make them differ.

    Args:
        embed: images_BCHW -> embeddings_BD, as the evaluation calls it.
        images_BCHW: a few images, at least 2.

    Returns:
        batch_difference: largest |together - alone| / |together| over the images; infinite where an image
        alone cannot be embedded.
    """
    together_BD = embed(images_BCHW).double()
    alone_BD = torch.cat([_alone(embed, image_1CHW, together_BD) for image_1CHW in images_BCHW.split(1)])
    difference_B = (together_BD - alone_BD).norm(dim=1) / together_BD.norm(dim=1).clamp(min=1e-30)
    return (Measurement("batch_difference", float(difference_B.max()), "relative"),)


@torch.no_grad()
def embedding_difference(trained_BD: Tensor, scored_BD: Tensor, *, group: str = "") -> tuple[Measurement, ...]:
    """Compare embeddings of the weights that are trained with what the evaluation gives for the same images.

    Retrieval ranks by direction, so lengths are left out.

    Returns:
        embedding_difference: |trained - scored| over |trained| of unit-length embeddings, over all images; 0 where the trained
        weights are scored, infinite where the two have different dimensions.
    """
    if trained_BD.shape != scored_BD.shape:
        return (Measurement("embedding_difference", math.inf, "relative", group=group),)
    one_BD, other_BD = F.normalize(trained_BD.double()), F.normalize(scored_BD.double())
    apart = float((one_BD - other_BD).norm()) / max(float(one_BD.norm()), 1e-30)
    return (Measurement("embedding_difference", apart, "relative", group=group),)


def gallery_in_itself(query: Embedded, gallery: Embedded, *, most_queries: int) -> tuple[Measurement, ...]:
    """Look for people of the gallery within the gallery: where that works and queries fail, their identities do not fit.

    Returns:
        map_of_gallery_in_itself (the camera rule applies, so an image never finds itself) and map_of_queries; None where no
        image counts.
    """
    rows = np.random.default_rng(0).permutation(len(gallery))[:most_queries]
    part = Embedded(gallery.features_ND[rows], gallery.person_ids_N[rows], gallery.camera_ids_N[rows])
    return (
        Measurement("map_of_gallery_in_itself", _map(part, gallery), "mAP"),
        Measurement("map_of_queries", _map(query, gallery), "mAP"),
    )


def same_camera_first(query: Embedded, gallery: Embedded) -> tuple[Measurement, ...]:
    """Measure how often the nearest gallery image, without any camera rule, is of the query's own camera.

    Returns:
        same_camera_first (share), same_camera_by_chance (share of gallery images of the query's camera, mean over queries), and
        how many evaluation_people and evaluation_cameras there are.
    """
    similarity_QG = _unit(query.features_ND) @ _unit(gallery.features_ND).T
    nearest_Q = similarity_QG.argmax(1)
    same_QG = query.camera_ids_N[:, None] == gallery.camera_ids_N[None]
    return (
        Measurement("same_camera_first", float(same_QG[np.arange(len(nearest_Q)), nearest_Q].mean()), "share"),
        Measurement("same_camera_by_chance", float(same_QG.mean()), "share"),
        Measurement("evaluation_people", float(len(np.unique(query.person_ids_N))), "people"),
        Measurement("evaluation_cameras", float(len(np.unique([*query.camera_ids_N, *gallery.camera_ids_N]))), "cameras"),
    )


def independent_evaluation(query: Embedded, gallery: Embedded, *, most_queries: int = 50) -> tuple[Measurement, ...]:
    """Score some queries by plain sorting, apart from `evaluation.ranking`, and compare.

    Returns:
        evaluator_difference: largest difference of a query's average precision, over the first `most_queries` that count; and
        evaluator_bias, the mean of the differences with their sign: where many similarities are equal to the last digit, single
        queries differ by how ties fall, and the mean does not.
    """
    result = retrieve(query, gallery)
    rows_Q = result.query_rows_Q[:most_queries]
    plain = [_average_precision(query, gallery, int(row)) for row in rows_Q]
    difference_Q = np.array(plain) - result.average_precision_Q[: len(rows_Q)]
    note = f"{len(rows_Q)} queries"
    return (
        Measurement("evaluator_difference", float(np.abs(difference_Q).max()), "average precision", note=note),
        Measurement("evaluator_bias", float(difference_Q.mean()), "average precision", note=note),
    )


def _average_precision(query: Embedded, gallery: Embedded, row: int) -> float:
    """By definition: the camera rule, junk (-1) left out, ties ranked against the query."""
    scores_G = _unit(gallery.features_ND) @ _unit(query.features_ND[row : row + 1])[0]
    is_person_G = gallery.person_ids_N == query.person_ids_N[row]
    camera = query.camera_ids_N[row]
    left_out_G = (is_person_G & (gallery.camera_ids_N == camera) & (camera >= 0)) | (gallery.person_ids_N < 0)
    order = np.lexsort((is_person_G[~left_out_G], -scores_G[~left_out_G]))
    hits = is_person_G[~left_out_G][order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def _map(query: Embedded, gallery: Embedded) -> float | None:
    try:
        return retrieve(query, gallery).metrics.mAP
    except DataError:  # no query has a match that counts
        return None


def _alone(embed: Callable[[Tensor], Tensor], image_1CHW: Tensor, like_BD: Tensor) -> Tensor:
    try:
        return embed(image_1CHW).double()
    except ValueError:  # batch normalisation in training mode refuses a single value a channel
        return torch.full_like(like_BD[:1], torch.inf)


def _unit(features_ND: np.ndarray) -> np.ndarray:
    lengths_N1: np.ndarray = np.linalg.norm(features_ND.astype(np.float64), axis=1, keepdims=True)
    return features_ND / np.maximum(lengths_N1, 1e-12)


def _with(embedded: Embedded, features_ND: np.ndarray) -> Embedded:
    return Embedded(features_ND, embedded.person_ids_N, embedded.camera_ids_N)
