"""One optimisation step: where batch, model, losses and optimiser meet. B batch, D embedding dim, I identities.

A step whose activations do not fit is done again under the next memory plan, as if it had been so from its start.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from unplateau.base.errors import out_of_memory_words
from unplateau.base.out_of_memory import is_out_of_memory
from unplateau.data.loader import Batch
from unplateau.engine.graphed import GraphedNetwork
from unplateau.engine.memory_plan import PLAIN
from unplateau.engine.micro_batches import backward_in_parts, shares
from unplateau.engine.parts import Parts
from unplateau.engine.recomputing import parts_to_recompute, recomputed
from unplateau.engine.step_state import BufferCopy, Randomness, give_back_memory
from unplateau.losses.terms import LossTerms
from unplateau.models.reid import Outputs
from unplateau.optim.clipping import clip_gradients

_IMAGES_MEASURED = 2  # a part's share in memory is the same for any number


@dataclass(frozen=True)
class StepTerms:
    """What a step leaves behind, still on the device: reading a value synchronises the GPU."""

    total: Tensor
    parts: dict[str, Tensor]
    measurements: dict[str, Tensor]
    """Of the losses; with a gradient scaler also `skipped_steps`, 1 where it left the update out."""


def train_step(parts: Parts, batch: Batch) -> StepTerms:
    """Do one step on `batch` with the learning rates the optimisers hold, and return its loss terms.

    Raises:
        torch.OutOfMemoryError: it does not fit under any plan that may be taken, or the update itself does not fit. After a
            pass that did not fit, weights, optimisers, buffers and random state are those before the step.
    """
    terms = _passes_that_fit(parts, batch)
    skipped = _update(parts)
    if parts.average is not None:
        parts.average.update(parts.model)
    measurements = terms.measurements if skipped is None else {**terms.measurements, "skipped_steps": skipped}
    return StepTerms(terms.total.detach(), {name: term.detach() for name, term in terms.parts.items()}, measurements)


def forward_losses(parts: Parts, batch: Batch) -> LossTerms:
    """Return the loss terms of `batch`; the network runs in the chosen precision, the losses always in single."""
    with parts.number_formats(parts.model):
        outputs = parts.network(batch.images_BCHW, person_ids_B=batch.person_ids_B, camera_ids_B=batch.camera_ids_B)
    return _losses_of(parts, outputs, batch)


def _losses_of(parts: Parts, outputs: Outputs, batch: Batch) -> LossTerms:
    logits_BI = None if outputs.logits_BI is None else outputs.logits_BI.float()
    terms: LossTerms = parts.losses(outputs.features_BD.float(), logits_BI, batch.person_ids_B)
    return terms


def _passes_that_fit(parts: Parts, batch: Batch) -> LossTerms:
    """Go forward and backward, under the first memory plan from the present one on that fits; first without a CUDA graph."""
    memory, device, batch_size = parts.memory, batch.images_BCHW.device, len(batch.person_ids_B)
    if not (memory.may_step_down or isinstance(parts.network, GraphedNetwork)):
        return _forward_and_backward(parts, batch)
    randomness, buffers = Randomness.now(device), memory.buffers_of(parts.model, parts.losses)
    buffers.take()
    while True:
        try:
            return _forward_and_backward(parts, batch)
        except (RuntimeError, MemoryError) as error:
            graphs = parts.network if isinstance(parts.network, GraphedNetwork) and parts.network.holds_graphs else None
            if not is_out_of_memory(error) or (graphs is None and memory.below(batch_size) is None):
                randomness.put_back()
                buffers.put_back()
                raise
            problem = out_of_memory_words(error)
        # only here, where the error is gone, are the activations, which the frames of its traceback hold
        _drop_gradients(parts)
        if graphs is not None:
            graphs.give_up(problem)
        randomness.put_back()
        buffers.put_back()
        give_back_memory(device)
        if graphs is None:
            memory.step_down(batch_size, problem)


def _forward_and_backward(parts: Parts, batch: Batch) -> LossTerms:
    """Leave the gradients of the batch, scaled where there is a scaler, in the parameters, averaged over the ranks."""
    _drop_gradients(parts)
    plan = parts.memory.plan
    if plan == PLAIN:
        terms = forward_losses(parts, batch)
        _backward(parts, terms.total)
    else:
        names = _segments(parts, batch)
        terms = _in_parts(parts, batch, names) if plan.micro_batches > 1 else _recomputing(parts, batch, names)
        parts.ranks.average_gradients(parts.model.parameters())  # the model itself was called, not its distributed wrapper
    parts.ranks.average_gradients(parts.losses.parameters())
    return terms


def _recomputing(parts: Parts, batch: Batch, names: tuple[str, ...]) -> LossTerms:
    with recomputed(parts.model, names), parts.precision.autocast():
        outputs = parts.model(batch.images_BCHW, person_ids_B=batch.person_ids_B, camera_ids_B=batch.camera_ids_B)
    terms = _losses_of(parts, outputs, batch)
    del outputs
    statistics = BufferCopy(parts.model.backbone)
    statistics.take()
    _backward(parts, terms.total)
    statistics.put_back()  # recomputing has updated them a second time
    return terms


def _in_parts(parts: Parts, batch: Batch, names: tuple[str, ...]) -> LossTerms:
    found: list[LossTerms] = []

    def run(images_BCHW: Tensor, camera_ids_B: Tensor) -> Tensor:
        kept = names if torch.is_grad_enabled() else ()
        with recomputed(parts.model, kept), parts.precision.autocast():  # its own: casts made without a graph are not kept
            return parts.model.backbone_output(images_BCHW, camera_ids_B)

    def head_backward(output: Tensor) -> None:
        with parts.precision.autocast():
            outputs = parts.model.head_outputs(output, batch.person_ids_B)
        found.append(_losses_of(parts, outputs, batch))
        _backward(parts, found[0].total)

    rows = shares(batch.person_ids_B, parts.memory.plan.micro_batches)
    backward_in_parts(parts.model, batch, rows, run=run, head_backward=head_backward)
    return found[0]


def choose_segments(parts: Parts, batch: Batch) -> tuple[str, ...]:
    """Return the modules to recompute under any plan, chosen on the first images of a batch, without a trace."""
    randomness, buffers = Randomness.now(batch.images_BCHW.device), BufferCopy(parts.model)
    buffers.take()

    def run() -> Tensor:
        with parts.precision.autocast():
            return parts.model.backbone_output(batch.images_BCHW[:_IMAGES_MEASURED], batch.camera_ids_B[:_IMAGES_MEASURED])

    names = parts_to_recompute(parts.model, run)
    randomness.put_back()
    buffers.put_back()
    return names


def _segments(parts: Parts, batch: Batch) -> tuple[str, ...]:
    if parts.memory.segments is None:
        parts.memory.choose_segments(choose_segments(parts, batch))
    assert parts.memory.segments is not None
    return parts.memory.segments


def _backward(parts: Parts, total: Tensor) -> None:
    scaler = parts.precision.scaler
    torch.autograd.backward(total if scaler is None else scaler.scale(total))


def _drop_gradients(parts: Parts) -> None:
    for optimizer in parts.optimizers:
        optimizer.zero_grad(set_to_none=True)


def _update(parts: Parts) -> Tensor | None:
    """Update the weights; with a scaler, return 1 (on the device) where a gradient was not finite, so that it did not."""
    scaler, settings = parts.precision.scaler, parts.config.SOLVER.CLIP_GRADIENTS
    if scaler is None:
        if settings.ENABLED:  # else nobody asks for the norm, which would read every gradient in every step
            clip_gradients(parts.model.parameters(), settings)
        for optimizer in parts.optimizers:
            optimizer.step()
        return None
    for optimizer in parts.optimizers:
        scaler.unscale_(optimizer)
    norm = clip_gradients(parts.model.parameters(), settings)
    for optimizer in parts.optimizers:
        scaler.step(optimizer)
    scaler.update()
    return (~torch.isfinite(norm)).float()
