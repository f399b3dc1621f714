"""Whether the losses that are trained are those of the configuration: value, gradient, weight, smoothing. Cost: 1 F.

Shape legend: B batch, D feature dimension, I identities.
"""

import torch
from torch import Tensor

from unplateau.losses.combine import Losses
from unplateau.models.reid import Outputs
from unplateau.probes.loss_hypotheses import solved_smoothing
from unplateau.runs.record import Measurement

_NO_GRADIENT = 1e-9


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


def loss_gradients(trained: Losses, configured: Losses, outputs: Outputs, person_ids_B: Tensor) -> tuple[Measurement, ...]:
    """Compare the gradients of every loss with respect to what the network hands it, features and logits.

    A loss of the right value may hand nothing back: it was computed from detached features, or as a number.

    Args:
        trained, configured, outputs, person_ids_B: as for `losses_as_configured`.

    Returns:
        For each loss that is trained and has a gradient as configured: loss_gradient_cosine (None where nothing comes back) and
        loss_gradient_ratio, the length of the trained loss's gradient over the configured one's. For the cross-entropy also
        loss_targets_kept: share of the images whose logits are pulled most towards their own label, of those where the configured
        loss does that; and target_own and target_spread, see `_targets_own`.
    """
    found = []
    for name in configured.scales:
        if name not in trained.scales or configured.scales[name] <= 0 or any(True for _ in configured.terms[name].parameters()):
            continue
        mine, theirs = (_gradient(one, name, outputs, person_ids_B) for one in (trained, configured))
        size, own = float(theirs.norm()), float(mine.norm())
        if size > _NO_GRADIENT:
            cosine = float(mine @ theirs) / (own * size) if own > _NO_GRADIENT * size else None
            found.append(Measurement("loss_gradient_cosine", cosine, "cosine", group=name))
            found.append(Measurement("loss_gradient_ratio", own / size, "ratio", group=name))
            if name == "cross_entropy" and outputs.logits_BI is not None:
                found.append(_targets_kept(mine, theirs, outputs.logits_BI.shape[1], person_ids_B.cpu()))
                found += _targets_own(mine, outputs.logits_BI, person_ids_B.cpu())
    return tuple(found)


def _targets_kept(mine: Tensor, theirs: Tensor, num_identities: int, person_ids_B: Tensor) -> Measurement:
    """A cross-entropy's gradient at the logits is probabilities less targets: its lowest value stands at the target."""
    count = len(person_ids_B) * num_identities  # the logits' part is the last
    used_B, meant_B = (values[-count:].view(-1, num_identities) for values in (mine, theirs))
    readable_B = (meant_B.argmin(1) == person_ids_B) & (used_B.abs().amax(1) > _NO_GRADIENT)
    kept_B = used_B.argmin(1) == person_ids_B
    share = float(kept_B[readable_B].double().mean()) if bool(readable_B.any()) else None
    return Measurement("loss_targets_kept", share, "share", group="cross_entropy", note=f"{int(readable_B.sum())} images")


def _targets_own(mine: Tensor, logits_BI: Tensor, person_ids_B: Tensor) -> list[Measurement]:
    """The target that a mean cross-entropy must have used: probabilities less B times its gradient at the logits.

    target_own is the share that the image's own label has in it, median over images; target_spread the range of all other shares,
    near 0 where the rest is spread evenly.
    """
    probabilities_BI = logits_BI.detach().double().softmax(1).cpu()
    count = len(person_ids_B)
    target_BI = probabilities_BI - count * mine[-probabilities_BI.numel() :].view_as(probabilities_BI)
    own_B = target_BI.gather(1, person_ids_B[:, None])[:, 0]
    others_BI = target_BI.scatter(1, person_ids_B[:, None], torch.nan)
    lowest_B, highest_B = others_BI.nan_to_num(torch.inf).amin(1), others_BI.nan_to_num(-torch.inf).amax(1)
    return [
        Measurement("target_own", float(own_B.median()), "share", group="cross_entropy"),
        Measurement("target_spread", float((highest_B - lowest_B).median()), "share", group="cross_entropy"),
    ]


def _gradient(losses: Losses, name: str, outputs: Outputs, person_ids_B: Tensor) -> Tensor:
    with torch.enable_grad():
        given = [outputs.features_BD, *([] if outputs.logits_BI is None else [outputs.logits_BI])]
        leaves = [tensor.detach().float().requires_grad_() for tensor in given]
        value = losses(leaves[0], leaves[1] if len(leaves) > 1 else None, person_ids_B).parts[name]
        if not value.requires_grad:
            return torch.zeros(sum(leaf.numel() for leaf in leaves), dtype=torch.double)
        gradients = torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.detach().double().flatten().cpu() for gradient in gradients])
