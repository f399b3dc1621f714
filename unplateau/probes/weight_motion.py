"""How far weights move in one step, relative to their length: |dw| / |w|, by layer group and over all (group "").

Karpathy's CS231n notes put a healthy step near 1e-3. Exactly 0 where there is a gradient: the optimiser does not hold these.
Cost: a copy of the weights before the step and one pass over them after it; with `elements` a few microseconds a tensor.
"""

from collections.abc import Iterable, Mapping
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


def snapshot(named_parameters: Named, *, elements: int | None = None) -> Snapshot:
    """Copy the parameters as they are now.

    Args:
        named_parameters: as `model.named_parameters()` gives them.
        elements: keep only so many evenly spaced elements of each tensor, for watching every step; None = all.
    """
    return Snapshot({name: _elements(p, elements).clone() for name, p in named_parameters}, elements)


def weight_motion(
    before: Snapshot, named_parameters: Named, *, groups: Groups | None = None,
    decay: Mapping[str, float] | None = None, step: int | None = None,
) -> tuple[Measurement, ...]:  # fmt: skip
    """Measure what moved since the snapshot.

    Args:
        before: of the same parameters; those it does not hold are left out.
        named_parameters: as they are now, with their gradients still there.
        groups: parameter names by layer group; None = from the names.
        decay: rate times weight decay by name; this share of the old weight is put back before measuring, which is exact for
            decoupled decay and for SGD without momentum.
        step: of the run.

    Returns:
        For each group and for all: weight_motion (relative), tensors_moved (share), unmoved_with_gradient (tensors that have a
        gradient other than 0 and are as they were, to the bit).
    """
    now = {name: p for name, p in named_parameters if name in before.values}
    groups = groups or by_layer(now)
    moved_square, square, moved, graded = _columns(before, now, decay or {}).tolist()  # synchronises the GPU, once
    column = {name: index for index, name in enumerate(now)}
    members = {"": list(now)} | {group: [name for name in names if name in now] for group, names in groups.items()}
    measurements = []
    for group, names in members.items():
        rows = [column[name] for name in names]
        if rows:
            motion = (sum(moved_square[r] for r in rows) / max(sum(square[r] for r in rows), 1e-60)) ** 0.5
            stuck = [name for name, r in zip(names, rows, strict=True) if graded[r] and not moved[r]]
            measurements += [
                Measurement("weight_motion", motion, "relative, one step", step, group),
                Measurement("tensors_moved", sum(moved[r] for r in rows) / len(rows), "share", step, group),
                Measurement("unmoved_with_gradient", float(len(stuck)), "tensors", step, group, ", ".join(stuck[:3])),
            ]
    return tuple(measurements)


@torch.no_grad()
def _columns(before: Snapshot, now: Mapping[str, Tensor], decay: Mapping[str, float]) -> Tensor:
    """Squares of motion and of length, whether it moved, whether it has a gradient: a row each, a column a tensor."""
    columns = []
    for name, parameter in now.items():
        old, new = before.values[name], _elements(parameter, before.elements)
        motion = new.double() - (1 - decay.get(name, 0.0)) * old.double()
        has_gradient = torch.zeros((), device=old.device) if parameter.grad is None else parameter.grad.count_nonzero() > 0
        columns.append(
            torch.stack([motion.square().sum(), old.double().square().sum(), (new != old).any().double(), has_gradient.double()])
        )
    return torch.stack(columns, dim=1) if columns else torch.zeros(4, 0)


def _elements(parameter: Tensor, elements: int | None) -> Tensor:
    values = parameter.detach()
    if elements is None or values.numel() <= elements:
        return values
    stride = values.numel() // elements
    if values.is_contiguous() or values.is_contiguous(memory_format=torch.channels_last):
        return values.as_strided((elements,), (stride,))  # no copy of the whole, in the order of memory
    return values.flatten()[::stride][:elements]
