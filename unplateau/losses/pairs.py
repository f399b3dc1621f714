"""Who is a positive of whom in a batch, and means over the anchors that have a pair. Distances: each loss's own file.

Shape legend: B batch, D feature dimension.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_SHORTEST = 1e-6  # features below this length are not scaled to 1: the gradient of the scaling would exceed 1e6


@dataclass(frozen=True)
class Pairs:
    """Which pairs of a batch share an identity."""

    same_BB: Tensor
    """bool: the same identity, the diagonal included."""
    positives_B: Tensor
    """int64: other images of the anchor's identity."""
    valid_B: Tensor
    """bool: the anchor has a positive and a negative."""
    num_valid: Tensor
    """int64, 0-d: such anchors."""
    share_B: Tensor
    """float32: each anchor's share of a mean over such anchors; all 0 where there is none."""


def pairs_of(person_ids_B: Tensor) -> Pairs:
    """Return the pairs of a batch; nothing synchronises."""
    same_BB = person_ids_B[:, None] == person_ids_B
    positives_B = same_BB.sum(1) - 1
    valid_B = (positives_B > 0) & (positives_B < len(person_ids_B) - 1)
    num_valid = valid_B.sum()
    return Pairs(same_BB, positives_B, valid_B, num_valid, valid_B / num_valid.clamp(min=1))


def mean_of_valid(values_B: Tensor, pairs: Pairs) -> Tensor:
    """Return the mean over anchors with a pair, the last dimension; 0 with a gradient of 0 where there is none."""
    return torch.where(pairs.valid_B, values_B, 0.0).sum(-1) / pairs.num_valid.clamp(min=1)


def unit_length(features_BD: Tensor) -> Tensor:
    """Return features scaled to length 1; those shorter than 1e-6 stay short."""
    return torch.nn.functional.normalize(features_BD, dim=1, eps=_SHORTEST)


def pair_counts(pairs: Pairs) -> dict[str, Tensor]:
    """Return positives_per_anchor (mean) and excluded_anchors (count), 0-d."""
    return {
        "positives_per_anchor": pairs.positives_B.float().mean(),
        "excluded_anchors": (len(pairs.valid_B) - pairs.num_valid).float(),
    }
