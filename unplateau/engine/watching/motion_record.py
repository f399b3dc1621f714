"""What the measured updates of a training have shown so far, tensor by tensor: did it move, and had it a gradient?

Cost: `elements` of each tensor are copied before an update and compared after it; one transfer to the host an update.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unplateau.probes.layer_groups import Groups
from unplateau.probes.weight_motion import norms_of_change, relative_motion, sampled
from unplateau.runs.record import Measurement

_NO_GRADIENT = -1.0


@dataclass(frozen=True)
class Before:
    """Sampled elements of each tensor before an update."""

    parameters: Mapping[str, nn.Parameter]
    values: list[Tensor]
    elements: int


@dataclass(frozen=True)
class Seen:
    """What the optimiser was about to step with: norms of sampled gradients, on the device, and the rate of each tensor."""

    gradient_norms: Mapping[str, Tensor]
    rates: Mapping[str, float]


@dataclass
class TensorRecord:
    """One tensor over all measured updates."""

    updates: int = 0
    """Measured at a rate above 0, with finite gradients."""
    moves: int = 0
    gradients: int = 0
    """Updates in which a sampled gradient was other than 0."""
    motion_square: float = 0.0
    """Of the latest update."""
    square: float = 0.0
    gradient_square: float = 0.0
    is_frozen: bool = False
    numel: int = 0


class MotionRecord:
    """Collects measured updates; `measurements` sums them up by layer group."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self.tensors: dict[str, TensorRecord] = {}
        self.updates = 0
        self.skipped = 0
        """Measured updates with a gradient that was not finite."""

    @torch.no_grad()
    def after(self, before: Before, seen: Seen) -> None:
        """Take an update in. Synchronises the GPU once."""
        if not before.parameters:
            return
        norms = norms_of_change(before.values, [sampled(p, before.elements) for p in before.parameters.values()])
        absent = norms.largest_T.new_full((), _NO_GRADIENT)
        gradient_T = torch.stack([seen.gradient_norms.get(name, absent).to(absent) for name in before.parameters])
        self._take(before, seen, torch.stack([norms.largest_T, norms.moved_T, norms.length_T, gradient_T], dim=1).tolist())

    def _take(self, before: Before, seen: Seen, rows: list[list[float]]) -> None:
        if any(not math.isfinite(row[3]) for row in rows):
            self.skipped += 1
            return
        self.updates += 1
        for (name, parameter), (largest, moved, length, gradient) in zip(before.parameters.items(), rows, strict=True):
            record = self.tensors.setdefault(name, TensorRecord())
            record.is_frozen, record.numel = not parameter.requires_grad, parameter.numel()
            record.updates += seen.rates[name] > 0
            record.moves += largest != 0  # NaN is motion too
            record.gradients += gradient > 0
            record.motion_square, record.square, record.gradient_square = moved**2, length**2, max(gradient, 0.0) ** 2

    def measurements(self, step: int) -> tuple[Measurement, ...]:
        """Return, for each group and for all (group ""), what the updates so far have shown; nothing before the first."""
        if not self.updates:
            return ()
        members = {"": list(self.tensors), **self._groups}
        kept = {group: [self.tensors[name] for name in names if name in self.tensors] for group, names in members.items()}
        return tuple(m for group, records in kept.items() if records for m in _of_group(group, records, step))


def take_before(model: nn.Module, *, elements: int) -> Before:
    """Copy sampled elements of every floating tensor of `model` as it is now."""
    parameters = {name: p for name, p in model.named_parameters() if p.is_floating_point() and p.numel()}
    return Before(parameters, [sampled(p, elements).clone() for p in parameters.values()], elements)


@torch.no_grad()
def see(before: Before, optimizers: Sequence[Optimizer]) -> Seen:
    """Look at gradients and rates as they are now. A tensor that no optimiser holds counts with the highest rate."""
    held = {id(p): float(group["lr"]) for o in optimizers for group in o.param_groups for p in group["params"]}
    highest = max(held.values(), default=0.0)
    rates = {name: held.get(id(p), highest) for name, p in before.parameters.items()}
    present = {name: p.grad for name, p in before.parameters.items() if p.grad is not None and not p.grad.is_sparse}
    pieces = [sampled(gradient, before.elements).float() for gradient in present.values()]
    norms = torch._foreach_norm(pieces) if pieces else []
    return Seen(dict(zip(present, norms, strict=True)), rates)


def _of_group(group: str, records: list[TensorRecord], step: int) -> tuple[Measurement, ...]:
    trained = [record for record in records if not record.is_frozen and record.updates]
    elements = sum(record.numel for record in records)
    frozen = sum(record.numel for record in records if record.is_frozen)
    found = [
        Measurement("frozen", frozen / max(elements, 1), "share", step, group),
        Measurement("elements_watched", float(elements), "elements", step, group),
    ]
    if not trained:
        return tuple(found)
    motion = relative_motion(sum(record.motion_square for record in trained), sum(record.square for record in trained))
    stuck = sum(not record.moves and record.gradients > 0 for record in trained)
    return (
        *found,
        Measurement("weight_motion", motion, "relative, one step", step, group),
        Measurement("tensors_moved", sum(record.moves > 0 for record in trained) / len(trained), "share", step, group),
        Measurement("unmoved_with_gradient", float(stuck), "tensors", step, group),
        Measurement("without_gradient", float(sum(not record.gradients for record in trained)), "tensors", step, group),
        Measurement("gradient_norm", sum(record.gradient_square for record in trained) ** 0.5, "sampled", step, group),
        Measurement("measured_updates", float(min(record.updates for record in trained)), "updates", step, group),
    )
