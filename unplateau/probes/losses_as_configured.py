"""Whether the losses that are trained are those of the configuration: value, weight and smoothing of each. Cost: none beside 1 F.

Shape legend: B batch, D feature dimension, I identities.
"""

import torch
from torch import Tensor

from unplateau.losses.combine import Losses
from unplateau.models.reid import Outputs
from unplateau.probes.loss_hypotheses import solved_smoothing
from unplateau.runs.record import Measurement


@torch.no_grad()
def losses_as_configured(trained: Losses, configured: Losses, outputs: Outputs, person_ids_B: Tensor) -> tuple[Measurement, ...]:
    """Compute every loss of a batch twice.

    Args:
        trained: the losses that the training calls.
        configured: losses built anew from the configuration; those with parameters of their own are left out.
        outputs: of the model in training mode.
        person_ids_B: labels 0..I-1.

    Returns:
        For each loss: loss_trained and loss_configured (nats, unweighted), loss_weight_trained and loss_weight_configured; and
        effective_smoothing, the label smoothing that gives the cross-entropy its value (None where it cannot be told).
    """
    logits_BI = None if outputs.logits_BI is None else outputs.logits_BI.float()
    mine = trained(outputs.features_BD.float(), logits_BI, person_ids_B).parts
    theirs = configured(outputs.features_BD.float(), logits_BI, person_ids_B).parts
    plain = [name for name in configured.scales if name in mine and not any(True for _ in configured.terms[name].parameters())]
    found = []
    for name in plain:
        found += [
            Measurement("loss_trained", float(mine[name]), "nats", group=name),
            Measurement("loss_configured", float(theirs[name]), "nats", group=name),
            Measurement("loss_weight_trained", float(trained.scales[name]), "", group=name),
            Measurement("loss_weight_configured", float(configured.scales[name]), "", group=name),
        ]
    for name in sorted(set(trained.scales) - set(plain)):  # losses with parameters, and those that were not asked for
        found += [
            Measurement("loss_weight_trained", float(trained.scales[name]), "", group=name),
            Measurement("loss_weight_configured", float(configured.scales.get(name, 0.0)), "", group=name),
        ]
    if "cross_entropy" in plain and logits_BI is not None:
        eps = solved_smoothing(float(mine["cross_entropy"]), logits_BI, person_ids_B)
        found.append(Measurement("effective_smoothing", eps, "share"))
    return tuple(found)
