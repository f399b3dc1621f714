"""Cross-entropy over training identities with label smoothing (Szegedy et al. 2016, section 7).

The target is (1 - eps) on the identity plus eps / I on every identity, the identity itself included. fast-reid spreads eps
over the I - 1 others instead: its eps is this eps times (I - 1) / I.

Shape legend: B batch, D feature dimension, I identities.
"""

from torch import Tensor
from torch.nn import functional as F

from unplateau.base.errors import ConfigError
from unplateau.losses.terms import Loss, Term


class CrossEntropyLoss(Loss):
    """Mean over the batch of the smoothed cross-entropy, in nats; measures accuracy."""

    def __init__(self, *, smoothing: float = 0.0) -> None:
        super().__init__()
        self.smoothing = smoothing

    def term(self, features_BD: Tensor, logits_BI: Tensor | None, person_ids_B: Tensor) -> Term:
        """Return the term. With a margin classifier, accuracy is that of the logits after the margin."""
        if logits_BI is None:
            raise ConfigError(
                ["CrossEntropyLoss needs a classifier, and this model gives no logits. Leave it out of LOSSES.NAME."]
            )
        value = F.cross_entropy(logits_BI, person_ids_B, label_smoothing=self.smoothing)
        accuracy = (logits_BI.detach().argmax(1) == person_ids_B).float().mean()
        return Term(value, {"accuracy": accuracy})
