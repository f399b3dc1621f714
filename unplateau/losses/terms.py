"""What every loss takes and gives, and the precision it is computed in. The losses themselves: one file each.

Shape legend: B batch, D feature dimension, I identities.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Term:
    """One loss of a batch, unweighted."""

    value: Tensor
    """0-d, part of the graph."""
    measurements: Mapping[str, Tensor] = field(default_factory=dict)
    """0-d, detached, on the loss's device: reading them synchronises, making them does not."""


@dataclass(frozen=True)
class LossTerms:
    """All losses of a batch."""

    total: Tensor
    """0-d: the weighted sum that is minimised."""
    parts: dict[str, Tensor]
    """Unweighted terms by name (cross_entropy, triplet, circle, center, or the user's own), part of the graph."""
    measurements: dict[str, Tensor]
    """0-d, detached: accuracy, d_ap, d_an, active_triplets, positives_per_anchor, excluded_anchors."""


class Loss(nn.Module, ABC):
    """A loss of features, logits and identities, always computed in single precision or better."""

    def forward(self, features_BD: Tensor, logits_BI: Tensor | None, person_ids_B: Tensor) -> Term:
        """Return the term of a batch; half-precision inputs are widened first, also under autocast.

        Args:
            features_BD: what metric losses see.
            logits_BI: the classifier's output; None where there is no classifier.
            person_ids_B: int64 labels, 0..I-1.
        """
        with torch.autocast(features_BD.device.type, enabled=False):
            return self.term(_widened(features_BD), None if logits_BI is None else _widened(logits_BI), person_ids_B)

    @abstractmethod
    def term(self, features_BD: Tensor, logits_BI: Tensor | None, person_ids_B: Tensor) -> Term:
        """Return the term of a batch in the precision of the inputs."""


def _widened(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
