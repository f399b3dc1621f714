"""How far weights move in one step, relative to their length: |dw| / |w|, by layer group and over all (group "").

Karpathy's CS231n notes put a healthy step near 1e-3. Exactly 0 where there is a gradient: the optimiser does not hold these.
Cost: a copy of the weights before the step and one pass over them after it; with `elements` a few microseconds a tensor.
The arithmetic is here alone; preflight, the loop and `watch` measure with it, each at its own moments. T tensors.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unplateau.probes.layer_groups import Groups, by_layer
from unplateau.runs.record import Measurement

Named = Iterable[tuple[str, Tensor]]


@dataclass(frozen=True)
class Snapshot:
    """Weights as they were, whole or sampled."""

    values: Mapping[str, Tensor]
    elements: int | None


@dataclass(frozen=True)
class Norms:
    """How far each of T tensors went, on their device: reading a value synchronises a GPU."""

    largest_T: Tensor
    """Largest change of an element; exactly 0 where the tensor is as it was, to the bit."""
    moved_T: Tensor
    """Length of the change."""
    length_T: Tensor
    """Length before it."""

    def relative(self) -> Tensor:
        """Return the motion of all together, relative to their length; 0-d."""
        return self.moved_T.norm() / self.length_T.norm().clamp(min=1e-30)


@torch.no_grad()
def norms_of_change(before: Sequence[Tensor], now: Sequence[Tensor], *, decay: Sequence[float] = ()) -> Norms:
    """Return how far tensors went, at least one, in single precision. Does not synchronise.

    Args:
        before: as they were.
        now: as they are, in the same order and shapes.
        decay: share of each old tensor that is put back before the length of its change is taken; empty = none.
    """
    old = [tensor.float() for tensor in before]
    change = torch._foreach_sub([tensor.detach().float() for tensor in now], old)
    largest = torch._foreach_norm(change, torch.inf)
    if decay:
        change = torch._foreach_add(change, torch._foreach_mul(old, list(decay)))
    return Norms(*(torch.stack(list(column)) for column in (largest, torch._foreach_norm(change), torch._foreach_norm(old))))


def relative_motion(moved_square: float, square: float) -> float:
    """Return the motion from the squares of its length and of the weights' length.

    >>> relative_motion(1e-6, 1.0)
    0.001
    """
    return float((moved_square / max(square, 1e-60)) ** 0.5)


def sampled(tensor: Tensor, elements: int | None) -> Tensor:
    """Return `elements` evenly spaced elements without a copy of the whole; all of a smaller tensor, or with None."""
    values = tensor.detach()
    if elements is None:
        return values
    if values.numel() <= elements:
        return values.reshape(-1)
    stride = values.numel() // elements
    if values.is_contiguous() or values.is_contiguous(memory_format=torch.channels_last):
        return values.as_strided((elements,), (stride,))  # in the order of memory
    return values.reshape(-1)[::stride][:elements]


def snapshot(named_parameters: Named, *, elements: int | None = None) -> Snapshot:
    """Copy the parameters as they are now.

    Args:
        named_parameters: as `model.named_parameters()` gives them.
        elements: keep only so many evenly spaced elements of each tensor, for watching every step; None = all.
    """
    return Snapshot({name: sampled(p, elements).clone() for name, p in named_parameters}, elements)


def weight_motion(
    before: Snapshot, named_parameters: Named, *, groups: Groups | None = None,
    decay: Mapping[str, float] | None = None, step: int | None = None,
) -> tuple[Measurement, ...]:  # fmt: skip
    """Measure what moved since the snapshot.

    Args:
        before: of the same parameters; those it does not hold are left out.
        named_parameters: as they are now, with their gradients still there.
        groups: parameter names by layer group; None = from the names (a millisecond: pass them when watching every step).
        decay: rate times weight decay by name; this share of the old weight is put back before measuring, which is exact for
            decoupled decay and for SGD without momentum.
        step: of the run.

    Returns:
        For each group and for all: weight_motion (relative), tensors_moved (share), unmoved_with_gradient (tensors that have a
        gradient other than 0 and are as they were, to the bit).
    """
    now = {name: p for name, p in named_parameters if name in before.values}
    squares = _squares(before, now, decay or {})
    stuck = {name for name, (_, _, moved) in squares.items() if not moved and _has_gradient(now[name])}
    members = {"": list(now)} | dict(groups or by_layer(now))
    present = {group: [name for name in names if name in now] for group, names in members.items()}
    return tuple(m for group, names in present.items() if names for m in _group(group, names, squares, stuck, step))


def _group(
    group: str, names: list[str], squares: Mapping[str, tuple[float, float, bool]], stuck: set[str], step: int | None
) -> tuple[Measurement, ...]:
    moved_square, square, moved = (sum(squares[name][k] for name in names) for k in range(3))
    stuck_here = [name for name in names if name in stuck]
    return (
        Measurement("weight_motion", relative_motion(moved_square, square), "relative, one step", step, group),
        Measurement("tensors_moved", moved / len(names), "share", step, group),
        Measurement("unmoved_with_gradient", float(len(stuck_here)), "tensors", step, group, ", ".join(stuck_here[:3])),
    )


def _squares(before: Snapshot, now: Mapping[str, Tensor], decay: Mapping[str, float]) -> dict[str, tuple[float, float, bool]]:
    """Square of the motion, square of the length, and whether it moved at all, by name. Synchronises the GPU once."""
    if not now:
        return {}
    norms = norms_of_change(
        [before.values[name] for name in now],
        [sampled(p, before.elements) for p in now.values()],
        decay=[decay.get(name, 0.0) for name in now] if decay else (),
    )
    squares = [column_T.double().square() for column_T in (norms.moved_T, norms.length_T)]
    rows = torch.stack([*squares, (norms.largest_T != 0).double()], dim=1).tolist()  # NaN is motion too
    return {name: (row[0], row[1], bool(row[2])) for name, row in zip(now, rows, strict=True)}


def _has_gradient(parameter: Tensor) -> bool:
    """Asked of tensors that did not move only, of which a healthy step has none: it reads the whole gradient."""
    return parameter.grad is not None and bool(parameter.grad.count_nonzero())
