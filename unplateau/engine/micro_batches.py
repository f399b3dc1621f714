"""The backward pass in micro-batches of the backbone: head and losses see the whole batch, the backbone a part of it at a time.

As GradCache (Gao et al. 2021, arXiv 2101.06983): all parts go forward without a graph; the head and the losses give the gradient
of the backbone's outputs; each part goes forward again, with a graph, and takes its gradient back. The gradients are those of
the graph that holds all micro-batches at once. Differs from a plain step in one thing: batch normalisation of the backbone
normalises each micro-batch by itself. Its running statistics take one update a step, with the mean of the micro-batches'.
B batch, N micro-batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from unplateau.data.loader import Batch
from unplateau.engine.step_state import BufferCopy, Randomness
from unplateau.models.reid import ReidModel

Run = Callable[[Tensor, Tensor], Tensor]
"""Runs the backbone: (images_BCHW, camera_ids_B) -> its output."""


def shares(person_ids_B: Tensor, num_parts: int) -> list[Tensor]:
    """Return the rows of each micro-batch: the images of every identity are dealt out in turn.

    Args:
        person_ids_B: int64 labels.
        num_parts: N, at most B.

    >>> [rows.tolist() for rows in shares(torch.tensor([7, 7, 3, 3]), 2)]
    [[2, 0], [3, 1]]
    """
    order_B = torch.argsort(person_ids_B, stable=True)
    return [order_B[part::num_parts] for part in range(num_parts)]


def backward_in_parts(
    model: ReidModel, batch: Batch, rows: Sequence[Tensor], *, run: Run, head_backward: Callable[[Tensor], None]
) -> None:
    """Add the gradients of one step to `model`'s parameters.

    Args:
        model: the backbone's and the head's owner.
        batch: the whole one.
        rows: of each micro-batch; together all rows once.
        run: runs the backbone on a part, with or without a graph, as torch is set.
        head_backward: given the backbone's output for the whole batch, in its order, goes through head and losses and back to it.
    """
    device = batch.images_BCHW.device
    output, randomness, statistics = _forward(model, batch, rows, run)
    output.requires_grad_()
    head_backward(output)
    if output.grad is not None:
        after = Randomness.now(device)
        for part, state in zip(rows, randomness, strict=True):
            state.put_back()
            again = run(batch.images_BCHW[part], batch.camera_ids_B[part])
            if again.requires_grad:
                torch.autograd.backward(again, output.grad[part])
        after.put_back()
    statistics.put_back()


@torch.no_grad()
def _forward(model: ReidModel, batch: Batch, rows: Sequence[Tensor], run: Run) -> tuple[Tensor, list[Randomness], BufferCopy]:
    """Run all parts without a graph; return output, the random state before each part, and the buffers as they are to be."""
    statistics = BufferCopy(model.backbone)
    statistics.take()
    outputs: list[Tensor] = []
    randomness: list[Randomness] = []
    sums: list[Tensor] = []
    for part in rows:
        statistics.put_back()  # each part's update starts from the same values
        randomness.append(Randomness.now(batch.images_BCHW.device))
        outputs.append(run(batch.images_BCHW[part], batch.camera_ids_B[part]))
        sums = _added(sums, statistics.present())
    for buffer, total in zip(statistics.present(), sums, strict=True):
        if buffer.is_floating_point():  # the others, such as the number of updates, are as after one
            buffer.copy_(total / len(rows))
    statistics.take()
    return torch.cat(outputs)[torch.argsort(torch.cat(list(rows)))], randomness, statistics


def _added(sums: list[Tensor], buffers: list[Tensor]) -> list[Tensor]:
    if not sums:
        return [buffer.clone() for buffer in buffers]
    return [total + buffer if buffer.is_floating_point() else total for total, buffer in zip(sums, buffers, strict=True)]
