"""Geometry of the triplets of a batch: how far positives and negatives are, and whether there are any. Cost: none beside 1 F.

Hermans et al. 2017, section 3. d' (Green & Swets 1966): distance between the means of negative and positive distances in units of
their common standard deviation; 0 where features say nothing of identity.

Shape legend: B batch, D feature dimension.
"""

import torch
from torch import Tensor

from unplateau.losses.pairs import mean_of_valid, pairs_of
from unplateau.losses.triplet import hardest_distances
from unplateau.runs.record import Measurement


@torch.no_grad()
def triplets(features_BD: Tensor, person_ids_B: Tensor, *, margin: float, step: int | None = None) -> tuple[Measurement, ...]:
    """Measure a batch.

    Args:
        features_BD: what the triplet loss sees.
        person_ids_B: identities.
        margin: an anchor is active where d_ap - d_an + margin is above 0.
        step: of the run.

    Returns:
        d_ap, d_an (of the hardest pairs, mean over anchors that have both), active_triplets, anchors_with_positive,
        anchors_with_negative (shares), positives_per_anchor, identities_in_batch, and over all pairs d_positive, d_negative,
        d_prime. None where no pair exists.
    """
    values_BD, pairs = features_BD.detach().float(), pairs_of(person_ids_B)
    d_ap_B, d_an_B = hardest_distances(values_BD, pairs)
    has_any = bool(pairs.valid_B.any())
    active_B = (d_ap_B - d_an_B + margin > 0).float()
    found = {
        name: (float(mean_of_valid(values_B, pairs)) if has_any else None, unit)
        for name, values_B, unit in (("d_ap", d_ap_B, ""), ("d_an", d_an_B, ""), ("active_triplets", active_B, "share"))
    }
    found |= {
        "anchors_with_positive": (float((pairs.positives_B > 0).float().mean()), "share"),
        "anchors_with_negative": (float((pairs.positives_B < len(values_BD) - 1).float().mean()), "share"),
        "positives_per_anchor": (float(pairs.positives_B.float().mean()), "images"),
        "identities_in_batch": (float(len(person_ids_B.unique())), "identities"),
    }
    found |= _over_all_pairs(values_BD, pairs.same_BB)
    return tuple(Measurement(name, value, unit, step) for name, (value, unit) in found.items())


def _over_all_pairs(values_BD: Tensor, same_BB: Tensor) -> dict[str, tuple[float | None, str]]:
    rows, columns = torch.triu_indices(len(values_BD), len(values_BD), offset=1, device=values_BD.device)
    centred_BD = (values_BD - values_BD.mean(0)).double()
    distances = torch.cdist(centred_BD, centred_BD)[rows, columns]
    positive, negative = distances[same_BB[rows, columns]], distances[~same_BB[rows, columns]]
    if not len(positive) or not len(negative):
        return {"d_positive": (None, ""), "d_negative": (None, ""), "d_prime": (None, "standard deviations")}
    spread = ((positive.var(correction=0) + negative.var(correction=0)) / 2).sqrt()
    difference = negative.mean() - positive.mean()
    return {
        "d_positive": (float(positive.mean()), ""),
        "d_negative": (float(negative.mean()), ""),
        "d_prime": (float(difference / spread) if spread > 0 else 0.0, "standard deviations"),
    }
