"""How much of the embedding space features use. Cost: one singular value decomposition of (N, D).

Effective rank: RankMe (Garrido et al. 2023, eq. 1), exp of the entropy of the normalised singular values; of centred features
as well, since a common offset of all features hides everything else.

Shape legend: N images, D feature dimension.
"""

import torch
from torch import Tensor

from unplateau.runs.record import Measurement

_RANK_COUNTS = 1e-3
_SMALLEST = 1e-7  # added to the share of each singular value, as in RankMe


@torch.no_grad()
def features(features_ND: Tensor, *, step: int | None = None) -> tuple[Measurement, ...]:
    """Measure the features of a set of images.

    Returns:
        effective_rank, effective_rank_centred and feature_rank (dimensions; of centred features, counting every singular value
        above a thousandth of the largest), feature_dim, feature_length (mean), feature_mean, feature_std
        (over images, mean over dimensions), dead_dimensions (share of dimensions that are the same for all images).
    """
    values_ND = features_ND.detach().float()
    std_D = values_ND.std(0, correction=0)
    constant_D = (values_ND == values_ND[:1]).all(0)
    found = {
        "effective_rank": (effective_rank(values_ND), "dimensions"),
        "effective_rank_centred": (effective_rank(values_ND - values_ND.mean(0)), "dimensions"),
        "feature_rank": (_rank(values_ND - values_ND.mean(0)), "dimensions"),
        "feature_dim": (float(values_ND.shape[1]), "dimensions"),
        "feature_length": (float(values_ND.norm(dim=1).mean()), ""),
        "feature_mean": (float(values_ND.mean()), ""),
        "feature_std": (float(std_D.mean()), ""),
        "dead_dimensions": (float(constant_D.float().mean()), "share"),
    }
    return tuple(Measurement(name, value, unit, step) for name, (value, unit) in found.items())


def _rank(features_ND: Tensor) -> float:
    singular = torch.linalg.svdvals(features_ND.double())
    return float((singular > _RANK_COUNTS * singular.max()).sum()) if bool(singular.max() > 0) else 0.0


def effective_rank(features_ND: Tensor) -> float:
    """Return RankMe, 1 to min(N, D); 0 where all features are 0."""
    singular = torch.linalg.svdvals(features_ND.double())
    total = singular.sum()
    if total == 0:
        return 0.0
    share = singular / total + _SMALLEST
    return float(torch.exp(-(share * share.log()).sum()))
