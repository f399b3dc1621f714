"""One optimisation step: where batch, model, losses and optimiser meet. B batch, D embedding dim, I identities."""

from dataclasses import dataclass

import torch
from torch import Tensor

from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.losses.terms import LossTerms
from unplateau.optim.clipping import clip_gradients


@dataclass(frozen=True)
class StepTerms:
    """What a step leaves behind, still on the device: reading a value synchronises the GPU."""

    total: Tensor
    parts: dict[str, Tensor]
    measurements: dict[str, Tensor]
    """Of the losses; with a gradient scaler also `skipped_steps`, 1 where it left the update out."""


def train_step(parts: Parts, batch: Batch) -> StepTerms:
    """Do one step on `batch` with the learning rates the optimisers hold, and return its loss terms."""
    for optimizer in parts.optimizers:
        optimizer.zero_grad(set_to_none=True)
    terms = forward_losses(parts, batch)
    skipped = _backward_and_step(parts, terms.total)
    if parts.average is not None:
        parts.average.update(parts.model)
    measurements = terms.measurements if skipped is None else {**terms.measurements, "skipped_steps": skipped}
    return StepTerms(terms.total.detach(), {name: term.detach() for name, term in terms.parts.items()}, measurements)


def forward_losses(parts: Parts, batch: Batch) -> LossTerms:
    """Return the loss terms of `batch`; the network runs in the chosen precision, the losses always in single."""
    with parts.precision.autocast():
        outputs = parts.network(batch.images_BCHW, person_ids_B=batch.person_ids_B, camera_ids_B=batch.camera_ids_B)
    logits_BI = None if outputs.logits_BI is None else outputs.logits_BI.float()
    terms: LossTerms = parts.losses(outputs.features_BD.float(), logits_BI, batch.person_ids_B)
    return terms


def _backward_and_step(parts: Parts, total: Tensor) -> Tensor | None:
    """Update the weights; with a scaler, return 1 (on the device) where a gradient was not finite, so that it did not."""
    scaler = parts.precision.scaler
    if scaler is None:
        total.backward()
        parts.ranks.average_gradients(parts.losses.parameters())
        clip_gradients(parts.model.parameters(), parts.config.SOLVER.CLIP_GRADIENTS)
        for optimizer in parts.optimizers:
            optimizer.step()
        return None
    torch.autograd.backward(scaler.scale(total))
    parts.ranks.average_gradients(parts.losses.parameters())
    for optimizer in parts.optimizers:
        scaler.unscale_(optimizer)
    norm = clip_gradients(parts.model.parameters(), parts.config.SOLVER.CLIP_GRADIENTS)
    for optimizer in parts.optimizers:
        scaler.step(optimizer)
    scaler.update()
    return (~torch.isfinite(norm)).float()
