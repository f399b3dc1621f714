"""In what way labels do not belong to their images: shifted, several people under one, one person or picture under several.

Cost: one N x N product on features that are there already. The plain count of agreeing neighbours: `labels`.

Shape legend: N images, D feature dimension.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from unplateau.probes.labels import label_agreement
from unplateau.runs.record import Measurement

SHIFTS = (-3, -2, -1, 1, 2, 3)
_NEIGHBOURS = 5
_CLOSE = 0.3  # share of the neighbours that another label needs to be a twin


def shifted_agreement(features_ND: Tensor, batches: Sequence[Tensor], rows_N: Tensor) -> tuple[Measurement, ...]:
    """Measure agreement of neighbours with labels rolled against the images of their batch.

    Args:
        features_ND: of some images.
        batches: person_ids_B of the batches, in order.
        rows_N: for each image its place among the joined batches.

    Returns:
        label_agreement_shifted for each of SHIFTS, under the shift as group: the label of the image that stands so many places
        before it.
    """
    found = []
    for shift in SHIFTS:
        rolled_N = torch.cat([ids_B.roll(shift) for ids_B in batches])[rows_N]
        value = next(m.value for m in label_agreement(features_ND, rolled_N) if m.name == "label_agreement" and not m.group)
        found.append(Measurement("label_agreement_shifted", value, "share", group=str(shift)))
    return tuple(found)


@torch.no_grad()
def pair_confusion(features_ND: Tensor, person_ids_N: Tensor, camera_ids_N: Tensor) -> tuple[Measurement, ...]:
    """Measure how often an image of another label is nearer than one of the same label.

    Within a camera light and background are the same, so that simple features tell people apart; across cameras they do where
    features are on one scale in each.

    Returns:
        pair_confusion: mean over pairs of one label of the share of other labels' images that are nearer; 0 = always nearest
        of all, 0.5 = as a stranger. Pairs of one camera, beside others of that camera, have group ""; pairs of two cameras,
        beside others of the second, "across cameras". None where no two images of a label stand so.
    """
    unit_ND = F.normalize(features_ND.float(), dim=1)
    similarity_NN = unit_ND @ unit_ND.T
    cameras = camera_ids_N.unique().tolist()
    found = []
    for group, is_own in (("", True), ("across cameras", False)):
        shares = [
            share
            for row, own in enumerate(camera_ids_N.tolist())
            for camera in cameras
            if (camera == own) == is_own
            if (share := _confusion(row, similarity_NN[row], person_ids_N, camera_ids_N == camera)) is not None
        ]
        value = sum(shares) / len(shares) if shares else None
        found.append(Measurement("pair_confusion", value, "share", group=group, note=f"{len(shares)} images"))
    return tuple(found)


def _confusion(row: int, similarity_N: Tensor, person_ids_N: Tensor, there_N: Tensor) -> float | None:
    same_N = person_ids_N == person_ids_N[row]
    mine_N = there_N & same_N
    mine_N[row] = False
    own, others = similarity_N[mine_N], similarity_N[there_N & ~same_N]
    return float((others[None] > own[:, None]).float().mean()) if len(own) and len(others) else None


@torch.no_grad()
def look_alikes_in_batch(features_ND: Tensor, person_ids_N: Tensor, batches_N: Tensor) -> tuple[Measurement, ...]:
    """Measure how often the nearest image of another label stands in the image's own batch: a batch of one picture shows so.

    Args:
        features_ND: of images of several batches, person_ids_N their labels.
        batches_N: number of each image's batch.

    Returns:
        look_alikes_in_batch and look_alikes_by_chance (share of other labels' images that stand in the own batch).
    """
    unit_ND = F.normalize(features_ND.float(), dim=1)
    other_NN = person_ids_N[:, None] != person_ids_N
    own_NN = batches_N[:, None] == batches_N
    usable_N = other_NN.any(1)
    if not bool(usable_N.any()):
        return (Measurement("look_alikes_in_batch", None, "share", note="one label only"),)
    nearest_N = (unit_ND @ unit_ND.T).masked_fill(~other_NN, -torch.inf).argmax(1)
    found_N = own_NN[torch.arange(len(unit_ND), device=unit_ND.device), nearest_N]
    chance = (own_NN & other_NN).sum() / other_NN.sum()
    return (
        Measurement("look_alikes_in_batch", float(found_N[usable_N].float().mean()), "share"),
        Measurement("look_alikes_by_chance", float(chance), "share"),
    )


@torch.no_grad()
def twin_labels(features_ND: Tensor, person_ids_N: Tensor) -> tuple[Measurement, ...]:
    """Measure how many labels have a twin: another label that is at least as frequent among the neighbours of their images.

    Returns:
        twin_labels (share of labels with two images or more; a twin has at least three tenths of the neighbours).
    """
    unit_ND = F.normalize(features_ND.float(), dim=1)
    similarity_NN = (unit_ND @ unit_ND.T).fill_diagonal_(-torch.inf)
    nearest_NK = similarity_NN.topk(min(_NEIGHBOURS, len(unit_ND) - 1), dim=1).indices
    labels, counts = person_ids_N.unique(return_counts=True)
    usable = labels[counts > 1]
    twins = sum(_has_twin(person_ids_N[nearest_NK[person_ids_N == label]].flatten(), label) for label in usable)
    return (Measurement("twin_labels", twins / len(usable) if len(usable) else None, "share"),)


def _has_twin(neighbours_N: Tensor, label: Tensor) -> bool:
    found, counts = neighbours_N[neighbours_N != label].unique(return_counts=True)
    if not len(found):
        return False
    own = int((neighbours_N == label).sum())
    return int(counts.max()) >= max(own, _CLOSE * len(neighbours_N))
