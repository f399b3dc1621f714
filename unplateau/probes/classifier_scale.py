"""Whether a classifier's logits are cosines, and with what scale. Cost: one product of embeddings and weights.

NormFace (Wang et al. 2017), proposition 2: cosines without a scale bound the loss far above zero.

Shape legend: B batch, D embedding dim, I identities.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from unplateau.runs.record import Measurement

_CLEAR_COSINE = 0.05  # nearer to 0 a ratio is rounding
_SAME = 1e-3  # relative; bf16 would need more, but classifiers run in single precision


@torch.no_grad()
def classifier_scale(logits_BI: Tensor, embeddings_BD: Tensor, weight_ID: Tensor) -> tuple[Measurement, ...]:
    """Compare logits with the cosines between embeddings and the classifier's weights.

    Returns:
        logit_largest (absolute), and classifier_scale: logits over cosines where that is one number; None where it is not, as
        for a linear classifier.
    """
    cosines_BI = F.normalize(embeddings_BD.double()) @ F.normalize(weight_ID.double()).T
    clear_BI = cosines_BI.abs() > _CLEAR_COSINE
    ratios_N = logits_BI.double()[clear_BI] / cosines_BI[clear_BI]
    scale = float(ratios_N.median()) if len(ratios_N) else 0.0
    is_one_number = scale > 0 and float((ratios_N / scale - 1).abs().median()) < _SAME
    return (
        Measurement("logit_largest", float(logits_BI.abs().max())),
        Measurement("classifier_scale", scale if is_one_number else None),
    )
