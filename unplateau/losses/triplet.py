"""Triplet loss with mining inside the batch: batch-hard (Hermans et al. 2017) and softly weighted (Ristani & Tomasi 2018).

Anchors without a positive or without a negative are left out and counted. Distances are Euclidean, between unit-length
features where asked (fast-reid uses squared distances there). Memory is O(B^2 + B D), never O(B^3).

Shape legend: B batch, D feature dimension.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from unplateau.losses.pairs import Pairs, mean_of_valid, pair_counts, pairs_of, unit_length
from unplateau.losses.terms import Loss, Term


class TripletLoss(Loss):
    """Mean over anchors of max(0, d_ap - d_an + margin), or of log(1 + exp(d_ap - d_an)) where the margin is 0.

    Measures d_ap, d_an, active_triplets (share of anchors with d_ap - d_an + margin > 0), positives_per_anchor and
    excluded_anchors. Distances that are exactly 0 have a gradient of 0.
    """

    def __init__(self, *, margin: float = 0.3, hard_mining: bool = True, unit_features: bool = False) -> None:
        super().__init__()
        self.margin = margin
        self.hard_mining = hard_mining
        self.unit_features = unit_features

    def term(self, features_BD: Tensor, logits_BI: Tensor | None, person_ids_B: Tensor) -> Term:
        """Return the term; `logits_BI` is not looked at."""
        if self.unit_features:
            features_BD = unit_length(features_BD)
        pairs = pairs_of(person_ids_B)
        if self.hard_mining:
            value, distances_2B = mean_over_hardest(features_BD, pairs, margin=self.margin)
            d_ap_B, d_an_B = distances_2B.unbind()
            return Term(value, self._measurements(d_ap_B, d_an_B, pairs))
        d_ap_B, d_an_B = weighted_distances(features_BD, pairs)
        excess_B = d_ap_B - d_an_B
        loss_B = F.relu(excess_B + self.margin) if self.margin > 0 else F.softplus(excess_B)
        return Term(mean_of_valid(loss_B, pairs), self._measurements(d_ap_B.detach(), d_an_B.detach(), pairs))

    def _measurements(self, d_ap_B: Tensor, d_an_B: Tensor, pairs: Pairs) -> dict[str, Tensor]:
        active_B = (d_ap_B + self.margin > d_an_B).type_as(d_ap_B)
        means_3 = torch.stack([d_ap_B, d_an_B, active_B]) @ pairs.share_B.to(d_ap_B.dtype)
        return dict(zip(("d_ap", "d_an", "active_triplets"), means_3.unbind(), strict=True)) | pair_counts(pairs)


def mean_over_hardest(features_BD: Tensor, pairs: Pairs, *, margin: float) -> tuple[Tensor, Tensor]:
    """Return the batch-hard loss, differentiable once, and without gradient each anchor's d_ap and d_an, (2, B)."""
    return _MeanOverHardest.apply(features_BD, _hardest_rows(features_BD.detach(), pairs), pairs, margin)


def hardest_distances(features_BD: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Return each anchor's distance to its farthest positive and to its nearest negative.

    Pairs are chosen by one matrix product without gradient, then only the chosen distances are computed, from
    differences: exact for near-identical features.

    Args:
        features_BD: any floating type.
        pairs: of the same batch.

    Returns:
        d_ap_B, d_an_B; of no meaning where `pairs.valid_B` is False.
    """
    neighbours_2BD = features_BD[_hardest_rows(features_BD.detach(), pairs)].view(2, *features_BD.shape)
    d_ap_B, d_an_B = torch.linalg.vector_norm(features_BD - neighbours_2BD, dim=2).unbind()
    return d_ap_B, d_an_B


def weighted_distances(features_BD: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Return each anchor's mean distance to positives and negatives, weighted towards hard ones.

    Weights are a softmax of d over positives and of -d over negatives (Ristani & Tomasi 2018, eq. 4), and carry gradient
    as in fast-reid. Unlike there, an anchor is not its own positive.
    """
    distances_BB = _distances(features_BD)
    eye_BB = torch.eye(len(features_BD), dtype=torch.bool, device=features_BD.device)
    lowest = torch.finfo(distances_BB.dtype).min  # finite, so that a row without any pair gives no NaN
    weights_positive_BB = distances_BB.masked_fill(~pairs.same_BB | eye_BB, lowest).softmax(1)
    weights_negative_BB = (-distances_BB).masked_fill(pairs.same_BB, lowest).softmax(1)
    return (distances_BB * weights_positive_BB).sum(1), (distances_BB * weights_negative_BB).sum(1)


class _MeanOverHardest(torch.autograd.Function):
    """The mean loss over anchors with a pair, and their distances. Written out, gradient with value, because at a batch of 64
    each operation costs as much as it computes: one node takes the place of a dozen. Differentiable once."""

    @staticmethod
    def forward(ctx: Any, features_BD: Tensor, rows_2B: Tensor, pairs: Pairs, margin: float) -> tuple[Tensor, Tensor]:
        towards_2BD = features_BD.index_select(0, rows_2B).view(2, *features_BD.shape).sub_(features_BD)
        distances_2B = torch.linalg.vector_norm(towards_2BD, dim=2)
        d_ap_B, d_an_B = distances_2B.unbind()
        value, slope_B = _mean_and_slope(d_ap_B - d_an_B + margin, pairs, is_hinge=margin > 0)
        smallest = torch.finfo(distances_2B.dtype).tiny  # a distance of 0 has differences of 0, so its gradient is 0
        # the anchor is drawn to its positive and driven from its negative
        per_length_2B = torch.stack((-slope_B, slope_B)) / distances_2B.clamp(min=smallest)
        to_positive_BD, to_negative_BD = of_pairs_2BD = towards_2BD.mul_(per_length_2B[:, :, None])
        of_features_BD = to_positive_BD + to_negative_BD
        ctx.save_for_backward(of_features_BD.index_add_(0, rows_2B, of_pairs_2BD.flatten(0, 1), alpha=-1))
        ctx.mark_non_differentiable(distances_2B)
        return value, distances_2B

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_value: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        (of_features_BD,) = ctx.saved_tensors
        return of_features_BD * of_value, None, None, None


def _mean_and_slope(excess_B: Tensor, pairs: Pairs, *, is_hinge: bool) -> tuple[Tensor, Tensor]:
    if is_hinge:
        slope_B = pairs.share_B.to(excess_B.dtype) * (excess_B > 0)
        return excess_B.dot(slope_B), slope_B
    share_B = pairs.share_B.to(excess_B.dtype)
    return F.softplus(excess_B).dot(share_B), excess_B.sigmoid() * share_B


@torch.no_grad()
def _hardest_rows(features_BD: Tensor, pairs: Pairs) -> Tensor:
    centred_BD = features_BD - features_BD.mean(0)  # less cancellation in the expanded square
    # |a - b|^2 without |a|^2, which is the same for all candidates of an anchor
    nearness_BB = torch.addmm(torch.linalg.vecdot(centred_BD, centred_BD), centred_BD, centred_BD.T, alpha=-2)
    # the anchor itself is among its positives at distance 0, the least: chosen only where nothing is farther
    farthest_positive_B = nearness_BB.masked_fill(~pairs.same_BB, -torch.inf).argmax(1)
    nearest_negative_B = nearness_BB.masked_fill_(pairs.same_BB, torch.inf).argmin(1)
    return torch.cat([farthest_positive_B, nearest_negative_B])


def _distances(features_BD: Tensor) -> Tensor:
    centred_BD = features_BD - features_BD.mean(0)
    square_B = centred_BD.square().sum(1)
    square_BB = torch.addmm(square_B, centred_BD, centred_BD.T, alpha=-2) + square_B[:, None]
    is_zero_BB = square_BB <= 0
    return square_BB.masked_fill(is_zero_BB, 1.0).sqrt().masked_fill(is_zero_BB, 0.0)  # the root's slope at 0 is infinite
