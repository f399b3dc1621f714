"""The weighted sum of the losses in use. Which ones, and their weights: `build`."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from unplateau.losses.terms import Loss, LossTerms, Term


class Losses(nn.Module):
    """Several losses as one; a loss of weight 0 is measured without gradient and not part of the total.

    Args:
        terms: losses by name.
        scales: weight of each, by the same names; at least one above 0.
    """

    def __init__(self, terms: Mapping[str, Loss], scales: Mapping[str, float]) -> None:
        super().__init__()
        assert set(terms) == set(scales) and any(scale > 0 for scale in scales.values())
        self.terms = nn.ModuleDict(terms)
        self.scales = dict(scales)

    def forward(self, features_BD: Tensor, logits_BI: Tensor | None, person_ids_B: Tensor) -> LossTerms:
        """Return total, parts and measurements of a batch; nothing synchronises.

        Args:
            features_BD: what metric losses see; any floating type.
            logits_BI: the classifier's output, or None.
            person_ids_B: int64 labels, 0..I-1.
        """
        terms = {name: self._term(name, features_BD, logits_BI, person_ids_B) for name in self.terms}
        weighted = [self._weighted(name, term.value) for name, term in terms.items() if self.scales[name] > 0]
        measurements = {key: value for term in terms.values() for key, value in term.measurements.items()}
        total = torch.stack(weighted).sum() if len(weighted) > 1 else weighted[0]
        return LossTerms(total, {name: term.value for name, term in terms.items()}, measurements)

    def _term(self, name: str, features_BD: Tensor, logits_BI: Tensor | None, person_ids_B: Tensor) -> Term:
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.scales[name] > 0):
            term: Term = self.terms[name](features_BD, logits_BI, person_ids_B)
        return term

    def _weighted(self, name: str, value: Tensor) -> Tensor:
        return value if self.scales[name] == 1 else value * self.scales[name]
