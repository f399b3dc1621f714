"""Centre loss (Wen et al. 2016, eq. 2): squared distance of each feature to a learned centre of its identity.

As in Luo et al. 2019, the mean over the batch without the factor 1/2. Centres start at zero and are trained by SGD of their
own, without the loss's scale (`optim/build.py` knows them by their name, `centers_ID`); Wen's count-weighted update is not used.

Shape legend: B batch, D feature dimension, I identities.
"""

from typing import Any

import torch
from torch import Tensor, nn

from unplateau.losses.terms import Loss, Term


class CenterLoss(Loss):
    """Mean over the batch of |f - c|^2, with the centres' gradient freed of the weight this loss has in the total.

    Args:
        num_identities: I.
        feature_dim: D.
        scale: this loss's weight in the total; the gradient of the centres is divided by it.
    """

    def __init__(self, *, num_identities: int, feature_dim: int, scale: float = 1.0) -> None:
        super().__init__()
        self.centers_ID = nn.Parameter(torch.zeros(num_identities, feature_dim))
        self.gradient_factor = 1.0 / scale if scale > 0 else 1.0

    def term(self, features_BD: Tensor, logits_BI: Tensor | None, person_ids_B: Tensor) -> Term:
        """Return the term; `logits_BI` is not looked at."""
        chosen_BD = _GradientTimes.apply(self.centers_ID.index_select(0, person_ids_B), self.gradient_factor)
        return Term((features_BD - chosen_BD).square().sum(1).mean())


class _GradientTimes(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a factor."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.factor, None
