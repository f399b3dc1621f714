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
        mine = hardest_distances if self.hard_mining else weighted_distances
        d_ap_B, d_an_B = mine(features_BD, pairs)
        excess_B = d_ap_B - d_an_B
        loss_B = F.relu(excess_B + self.margin) if self.margin > 0 else F.softplus(excess_B)
        return Term(mean_of_valid(loss_B, pairs), self._measurements(d_ap_B.detach(), d_an_B.detach(), pairs))

    def _measurements(self, d_ap_B: Tensor, d_an_B: Tensor, pairs: Pairs) -> dict[str, Tensor]:
        active_B = (d_ap_B + self.margin > d_an_B).to(d_ap_B.dtype)
        means_3 = mean_of_valid(torch.stack([d_ap_B, d_an_B, active_B]), pairs)
        return dict(zip(("d_ap", "d_an", "active_triplets"), means_3.unbind(), strict=True)) | pair_counts(pairs)


def hardest_distances(features_BD: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Return each anchor's distance to its farthest positive and to its nearest negative.

    Pairs are chosen by one matrix product without gradient, then only the chosen distances are computed, from
    differences: exact for near-identical features, and the backward pass costs O(B D) instead of two matrix products.
    Differentiable once.

    Args:
        features_BD: any floating type.
        pairs: of the same batch.

    Returns:
        d_ap_B, d_an_B; of no meaning where `pairs.valid_B` is False.
    """
    chosen_2B = _hardest_rows(features_BD.detach(), pairs)
    d_ap_B, d_an_B = _DistancesToRows.apply(features_BD, chosen_2B)
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


class _DistancesToRows(torch.autograd.Function):
    """Distances of all rows to chosen ones. Written out because at a batch of 64 each operation costs as much as it computes:
    one node of five operations in the backward pass takes the place of five nodes."""

    @staticmethod
    def forward(ctx: Any, features_BD: Tensor, chosen_2B: Tensor) -> tuple[Tensor, Tensor]:
        differences_2BD = features_BD - features_BD.index_select(0, chosen_2B).view(2, *features_BD.shape)
        distances_2B = torch.linalg.vector_norm(differences_2BD, dim=2)
        ctx.save_for_backward(differences_2BD, distances_2B, chosen_2B)
        d_ap_B, d_an_B = distances_2B.unbind()
        return d_ap_B.clone(), d_an_B.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_ap_B: Tensor, of_an_B: Tensor) -> tuple[Tensor, None]:
        differences_2BD, distances_2B, chosen_2B = ctx.saved_tensors
        smallest = torch.finfo(distances_2B.dtype).tiny  # a distance of 0 has differences of 0, so its gradient is 0
        per_length_2B = torch.stack((of_ap_B, of_an_B)) / distances_2B.clamp(min=smallest)
        gradient_2BD = differences_2BD * per_length_2B[:, :, None]
        gradient_BD = gradient_2BD.sum(0).index_add_(0, chosen_2B, gradient_2BD.flatten(0, 1), alpha=-1)
        return gradient_BD, None


@torch.no_grad()
def _hardest_rows(features_BD: Tensor, pairs: Pairs) -> Tensor:
    centred_BD = features_BD - features_BD.mean(0)  # less cancellation in the expanded square
    # |a - b|^2 without |a|^2, which is the same for all candidates of an anchor
    nearness_BB = torch.addmm(centred_BD.square().sum(1), centred_BD, centred_BD.T, alpha=-2)
    # the anchor itself is among its positives at distance 0, the least: chosen only where nothing is farther
    farthest_positive_B = torch.where(pairs.same_BB, nearness_BB, -torch.inf).argmax(1)
    nearest_negative_B = torch.where(pairs.same_BB, torch.inf, nearness_BB).argmin(1)
    return torch.cat([farthest_positive_B, nearest_negative_B])


def _distances(features_BD: Tensor) -> Tensor:
    centred_BD = features_BD - features_BD.mean(0)
    square_B = centred_BD.square().sum(1)
    square_BB = torch.addmm(square_B, centred_BD, centred_BD.T, alpha=-2) + square_B[:, None]
    is_zero_BB = square_BB <= 0
    return square_BB.masked_fill(is_zero_BB, 1.0).sqrt().masked_fill(is_zero_BB, 0.0)  # the root's slope at 0 is infinite
