"""Circle loss over the pairs of a batch (Sun et al. 2020, eq. 6 to 8), on cosine similarities.

The classifier form of the same paper is a head of the model, not a loss.

Shape legend: B batch, D feature dimension.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from unplateau.losses.pairs import mean_of_valid, pair_counts, pairs_of, unit_length
from unplateau.losses.terms import Loss, Term


class CircleLoss(Loss):
    """Mean over anchors of log(1 + sum_n exp(gamma a_n (s_n - m)) sum_p exp(-gamma a_p (s_p - 1 + m))).

    a_p = max(0, 1 + m - s_p) and a_n = max(0, s_n + m) carry no gradient. Anchors without a positive or a negative are left
    out and counted.
    """

    def __init__(self, *, margin: float = 0.25, gamma: float = 128.0) -> None:
        super().__init__()
        self.margin = margin
        self.gamma = gamma

    def term(self, features_BD: Tensor, logits_BI: Tensor | None, person_ids_B: Tensor) -> Term:
        """Return the term; `logits_BI` is not looked at."""
        unit_BD = unit_length(features_BD)
        similarity_BB = unit_BD @ unit_BD.T
        pairs = pairs_of(person_ids_B)
        eye_BB = torch.eye(len(unit_BD), dtype=torch.bool, device=unit_BD.device)
        positive_B = _log_sum(self._positive_logits(similarity_BB), pairs.same_BB & ~eye_BB)
        negative_B = _log_sum(self._negative_logits(similarity_BB), ~pairs.same_BB)
        return Term(mean_of_valid(F.softplus(positive_B + negative_B), pairs), pair_counts(pairs))

    def _positive_logits(self, similarity_BB: Tensor) -> Tensor:
        weight_BB = F.relu(1 + self.margin - similarity_BB.detach())
        return -self.gamma * weight_BB * (similarity_BB - 1 + self.margin)

    def _negative_logits(self, similarity_BB: Tensor) -> Tensor:
        weight_BB = F.relu(similarity_BB.detach() + self.margin)
        return self.gamma * weight_BB * (similarity_BB - self.margin)


def _log_sum(logits_BB: Tensor, wanted_BB: Tensor) -> Tensor:
    # finite instead of -inf: a row without any pair gives no NaN, whose gradient a later mask could not stop
    lowest = torch.finfo(logits_BB.dtype).min / 4
    return logits_BB.masked_fill(~wanted_BB, lowest).logsumexp(1)
