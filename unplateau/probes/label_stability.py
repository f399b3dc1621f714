"""Whether labels stay with their people: in a batch, among batches, from one epoch to the next, and across cameras.

Asked by looks, which need no network (`clothes_colours`), and of labels alone. Cost: products of features that are there already.

Shape legend: N images, M other images, D feature dimension.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from unplateau.runs.record import Measurement


@torch.no_grad()
def label_stability(
    features_ND: Tensor, person_ids_N: Tensor, batches_N: Tensor, later_MD: Tensor, later_ids_M: Tensor
) -> tuple[Measurement, ...]:
    """Ask whether the image that looks most alike carries the same label, wherever it stands.

    Args:
        features_ND, person_ids_N: of the images of one epoch's batches, copies left out.
        batches_N: number of each image's batch.
        later_MD, later_ids_M: of images of another epoch.

    Returns:
        same_label for the groups "own batch", "other batches" and "other epoch", and same_label_chance, what images drawn at
        random give. None where a group is empty.
    """
    same_batch_NN = batches_N[:, None] == batches_N
    eye_NN = torch.eye(len(features_ND), dtype=torch.bool, device=features_ND.device)
    similarity_NN, later_NM = _similarity(features_ND, features_ND), _similarity(features_ND, later_MD)
    everywhere_NM = torch.ones_like(later_NM, dtype=torch.bool)
    views = (
        ("own batch", similarity_NN, same_batch_NN & ~eye_NN, person_ids_N),
        ("other batches", similarity_NN, ~same_batch_NN, person_ids_N),
        ("other epoch", later_NM, everywhere_NM, later_ids_M),
    )
    return tuple(m for name, similarity, allowed, ids in views for m in _of_nearest(name, similarity, allowed, person_ids_N, ids))


@torch.no_grad()
def partner_likeness(features_ND: Tensor, person_ids_N: Tensor, batches_N: Tensor) -> tuple[Measurement, ...]:
    """Measure whether the images of a person in a batch are several: they look no more alike than with those of other batches.

    Returns:
        partner_likeness: median distance to the nearest image of the same label in the batch, over that in other batches; about
        1 where images are drawn at random, near 0 where one picture is drawn again and again. None without such images.
    """
    distances_NN = torch.cdist(features_ND.double(), features_ND.double()).fill_diagonal_(torch.inf)
    same_NN, own_NN = person_ids_N[:, None] == person_ids_N, batches_N[:, None] == batches_N
    own_N = distances_NN.masked_fill(~(same_NN & own_NN), torch.inf).min(1).values
    other_N = distances_NN.masked_fill(~(same_NN & ~own_NN), torch.inf).min(1).values
    usable_N = torch.isfinite(own_N) & torch.isfinite(other_N)
    if not bool(usable_N.any()):
        return (Measurement("partner_likeness", None, "ratio", note="no label has images in one batch and in others"),)
    typical = float(other_N[usable_N].median())
    return (Measurement("partner_likeness", float(own_N[usable_N].median()) / typical if typical > 0 else None, "ratio"),)


def labels_and_cameras(person_ids_N: Tensor, camera_ids_N: Tensor) -> tuple[Measurement, ...]:
    """Measure whether a label is a camera's: people of re-ID data sets are seen by several.

    Returns:
        same_camera_of_label (share of pairs of one label that are of one camera) and same_camera_chance (of all pairs).
    """
    other_NN = ~torch.eye(len(person_ids_N), dtype=torch.bool, device=person_ids_N.device)
    same_label_NN = (person_ids_N[:, None] == person_ids_N) & other_NN
    same_camera_NN = (camera_ids_N[:, None] == camera_ids_N) & other_NN
    pairs, everything = int(same_label_NN.sum()), int(other_NN.sum())
    if not pairs:
        return ()
    return (
        Measurement("same_camera_of_label", int((same_label_NN & same_camera_NN).sum()) / pairs, "share"),
        Measurement("same_camera_chance", int(same_camera_NN.sum()) / everything, "share"),
    )


def _similarity(one_ND: Tensor, other_MD: Tensor) -> Tensor:
    return F.normalize(one_ND.float()) @ F.normalize(other_MD.float()).T


def _of_nearest(name: str, similarity_NM: Tensor, allowed_NM: Tensor, ids_N: Tensor, others_M: Tensor) -> tuple[Measurement, ...]:
    usable_N = allowed_NM.any(1)
    if not bool(usable_N.any()):
        return (Measurement("same_label", None, "share", group=name),)
    nearest_N = similarity_NM.masked_fill(~allowed_NM, -torch.inf).argmax(1)
    same_NM = ids_N[:, None] == others_M
    chance = float((same_NM & allowed_NM).sum() / allowed_NM.sum())
    share = float((others_M[nearest_N] == ids_N)[usable_N].float().mean())
    return (
        Measurement("same_label", share, "share", group=name),
        Measurement("same_label_chance", chance, "share", group=name),
    )
