"""Classifiers over training identities, by fast-reid's names. B batch, D embedding dim, I identities.

Linear (Luo et al. 2019), ArcFace (Deng et al. 2019, arXiv 1801.07698, eq. 3), CosFace (Wang et al. 2018, arXiv 1801.09414,
eq. 4), circle (Sun et al. 2020, arXiv 2002.10857, eq. 5, on identity weights). Their loss lives in `losses`.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LINEAR_STD = 0.001  # Luo et al. 2019's code; fast-reid draws with 0.01, which starts the loss D * 0.01**2 / 2 above ln I
_COSINE_STD = 0.01  # any: only the direction of a weight counts

Margin = Callable[[Tensor, Tensor, float], Tensor]


class LinearClassifier(nn.Module):
    """Logits are inner products with one weight an identity, without bias.

    Attributes:
        initial_std: standard deviation the weights were drawn with; the first loss is near ln I + D * initial_std**2 / 2.
    """

    def __init__(self, embedding_dim: int, num_identities: int) -> None:
        super().__init__()
        self.initial_std: float | None = LINEAR_STD
        self.weight = nn.Parameter(torch.empty(num_identities, embedding_dim))
        nn.init.normal_(self.weight, std=LINEAR_STD)

    def forward(self, embeddings_BD: Tensor, person_ids_B: Tensor | None) -> Tensor:
        return F.linear(embeddings_BD, self.weight)


class CosineClassifier(nn.Module):
    """Logits are scaled cosines, made harder for the true identity by a margin; computed in float32.

    Attributes:
        initial_std: None, as the first loss depends on scale and margin instead.
    """

    def __init__(self, embedding_dim: int, num_identities: int, *, kind: str, scale: float, margin: float) -> None:
        super().__init__()
        self.initial_std: float | None = None
        self.kind, self.scale, self.margin = kind, scale, margin
        self.weight = nn.Parameter(torch.empty(num_identities, embedding_dim))
        nn.init.normal_(self.weight, std=_COSINE_STD)

    def forward(self, embeddings_BD: Tensor, person_ids_B: Tensor | None) -> Tensor:
        with torch.autocast(device_type=embeddings_BD.device.type, enabled=False):
            cosines_BI = F.linear(F.normalize(embeddings_BD.float()), F.normalize(self.weight.float()))
            if self.kind == "CosineLinear":
                return self.scale * cosines_BI
            if person_ids_B is None:
                raise ValueError(f"{self.kind} needs person_ids_B in training, to know where its margin goes")
            is_true_BI = F.one_hot(person_ids_B, cosines_BI.shape[1]).bool()
            return self.scale * _MARGINS[self.kind](cosines_BI, is_true_BI, self.margin)


def build_classifier(kind: str, embedding_dim: int, num_identities: int, *, scale: float, margin: float) -> nn.Module:
    """Return the classifier `MODEL.HEADS.CLS_LAYER` names, with random weights.

    Args:
        kind: fast-reid's name, already checked by the schema.
        scale: factor of the cosines; Linear has none, as in fast-reid.
        margin: radians for ArcSoftmax, cosine for the others.
    """
    if kind == "Linear":
        return LinearClassifier(embedding_dim, num_identities)
    return CosineClassifier(embedding_dim, num_identities, kind=kind, scale=scale, margin=margin)


def angular_margin(cosines_BI: Tensor, is_true_BI: Tensor, margin: float) -> Tensor:
    """Return cos(angle + margin) for the true identity; past angle = pi - margin it goes on falling in a straight line."""
    sines_BI = (1.0 - cosines_BI.square()).clamp(min=1e-12).sqrt()  # not zero, where the root's gradient is infinite
    harder_BI = cosines_BI * math.cos(margin) - sines_BI * math.sin(margin)
    straight_BI = cosines_BI - margin * math.sin(margin)
    harder_BI = torch.where(cosines_BI > -math.cos(margin), harder_BI, straight_BI)
    return torch.where(is_true_BI, harder_BI, cosines_BI)


def cosine_margin(cosines_BI: Tensor, is_true_BI: Tensor, margin: float) -> Tensor:
    """Return the cosine less the margin for the true identity."""
    return cosines_BI - margin * is_true_BI


def circle_margin(cosines_BI: Tensor, is_true_BI: Tensor, margin: float) -> Tensor:
    """Return cosines weighted by how far each is from its optimum: 1 + margin for the true identity, -margin for others."""
    fixed_BI = cosines_BI.detach()
    true_BI = (1.0 + margin - fixed_BI).clamp(min=0.0) * (cosines_BI - (1.0 - margin))
    other_BI = (fixed_BI + margin).clamp(min=0.0) * (cosines_BI - margin)
    return torch.where(is_true_BI, true_BI, other_BI)


_MARGINS: dict[str, Margin] = {
    "ArcSoftmax": angular_margin,
    "CosSoftmax": cosine_margin,
    "CircleSoftmax": circle_margin,
}
