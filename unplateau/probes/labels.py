"""Whether labels are numbered as the classifier needs them, and whether images of one label look alike.

Range and gaps cost nothing; agreement costs the features of a sample of images (1 F each) and one N x N product, in pieces.
k-nearest-neighbour agreement is a simple relative of confident learning (Northcutt et al. 2021).

Shape legend: N images, D feature dimension.
"""

import torch
from torch import Tensor

from unplateau.runs.record import Measurement

_ROWS = 1024  # queries compared at once, so that memory stays at _ROWS x N


def label_range(person_ids_N: Tensor, *, num_identities: int) -> tuple[Measurement, ...]:
    """Measure the labels of a batch or of the training set.

    Returns:
        label_lowest, label_highest, num_identities, labels_out_of_range (images), labels_unused (identities without an image),
        images_per_identity (mean over identities present), single_image_identities (identities with one image).
    """
    distinct, counts = person_ids_N.unique(return_counts=True)
    in_range = (distinct >= 0) & (distinct < num_identities)
    outside = (person_ids_N < 0) | (person_ids_N >= num_identities)
    found = {
        "label_lowest": (float(distinct[0]), "label"),
        "label_highest": (float(distinct[-1]), "label"),
        "num_identities": (float(num_identities), "identities"),
        "labels_out_of_range": (float(outside.sum()), "images"),
        "labels_unused": (float(num_identities - int(in_range.sum())), "identities"),
        "images_per_identity": (float(counts.float().mean()), "images"),
        "single_image_identities": (float((counts == 1).sum()), "identities"),
    }
    return tuple(Measurement(name, value, unit) for name, (value, unit) in found.items())


@torch.no_grad()
def label_agreement(
    features_ND: Tensor, person_ids_N: Tensor, camera_ids_N: Tensor | None = None, *, neighbours: int = 5
) -> tuple[Measurement, ...]:
    """Measure how often the nearest images by cosine, the image itself left out, carry its label.

    Args:
        features_ND: of a model that knows persons at least a little.
        person_ids_N, camera_ids_N: of the same images.
        neighbours: k, cut to N - 1.

    Returns:
        label_agreement (mean share of the k neighbours with the same label; over images whose label has another image) under
        group "" and, with cameras, for each camera under "camera c"; label_agreement_chance, its value for random features.
    """
    ids_N = person_ids_N.to(features_ND.device)
    others_N = (ids_N[:, None] == ids_N).sum(1) - 1
    usable_N = others_N > 0
    if not bool(usable_N.any()):
        return (Measurement("label_agreement", None, "share", note="no label has two images"),)
    share_N = _neighbour_share(features_ND, ids_N, min(neighbours, len(ids_N) - 1))
    chance = float((others_N[usable_N] / (len(ids_N) - 1)).mean())
    measurements = [
        Measurement("label_agreement", float(share_N[usable_N].mean()), "share"),
        Measurement("label_agreement_chance", chance, "share"),
    ]
    for camera in [] if camera_ids_N is None else camera_ids_N.unique().tolist():
        rows_N = usable_N & (camera_ids_N.to(ids_N.device) == camera)  # type: ignore[union-attr]
        if bool(rows_N.any()):
            measurements.append(Measurement("label_agreement", float(share_N[rows_N].mean()), "share", group=f"camera {camera}"))
    return tuple(measurements)


def _neighbour_share(features_ND: Tensor, ids_N: Tensor, k: int) -> Tensor:
    unit_ND = torch.nn.functional.normalize(features_ND.float(), dim=1)
    shares = []
    for start in range(0, len(unit_ND), _ROWS):
        similarity = unit_ND[start : start + _ROWS] @ unit_ND.T
        rows = torch.arange(len(similarity), device=similarity.device)
        similarity[rows, rows + start] = -torch.inf
        nearest = similarity.topk(k, dim=1).indices
        shares.append((ids_N[nearest] == ids_N[start : start + len(similarity), None]).float().mean(1))
    return torch.cat(shares)
