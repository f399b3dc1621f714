"""Cross-entropy of a batch before training, and what its closed form needs. Cost: 1 F.

Karpathy, A Recipe for Training Neural Networks: "verify loss @ init". For a fresh linear head N(0, s^2) the expectation given the
classifier's input f is ln I + s^2 |f|^2 / 2; the landmark itself is `unplateau.curves.landmarks`.

Shape legend: B batch, D classifier input dimension, I identities.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from unplateau.runs.record import Measurement


@torch.no_grad()
def initial_loss(
    logits_BI: Tensor, person_ids_B: Tensor, *, classifier_inputs_BD: Tensor | None = None, weight_ID: Tensor | None = None
) -> tuple[Measurement, ...]:
    """Measure logits of an untrained model.

    Args:
        logits_BI: of the first batch, in training mode.
        person_ids_B: labels, 0..I-1.
        classifier_inputs_BD, weight_ID: of a linear classifier; None where it is of another kind.

    Returns:
        initial_cross_entropy (without smoothing), initial_cross_entropy_error (its standard error over the batch's identities),
        logit_std (within an image), num_identities, and where they were given classifier_std and classifier_input_square.
    """
    each_B = F.cross_entropy(logits_BI.float(), person_ids_B, reduction="none")
    num_identities = logits_BI.shape[1]
    distinct = len(person_ids_B.unique())
    measurements = [
        Measurement("initial_cross_entropy", float(each_B.mean()), "nats"),
        Measurement("initial_cross_entropy_error", float(each_B.std(correction=0)) / distinct**0.5, "nats"),
        Measurement("logit_std", float(logits_BI.float().std(1, correction=0).mean())),
        Measurement("num_identities", float(num_identities), "identities"),
    ]
    if weight_ID is not None:
        measurements.append(Measurement("classifier_std", float(weight_ID.float().std(correction=0))))
    if classifier_inputs_BD is not None:
        squares_B = classifier_inputs_BD.float().square().sum(1)
        measurements.append(Measurement("classifier_input_square", float(squares_B.mean()), "squared length"))
    return tuple(measurements)
