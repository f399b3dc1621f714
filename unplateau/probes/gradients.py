"""Norms of the gradients by layer group, and what is missing or not finite. Cost: one pass over the gradients of a step."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from unplateau.probes.layer_groups import Groups, by_layer
from unplateau.runs.record import Measurement


def gradients(
    named_parameters: Iterable[tuple[str, nn.Parameter]], *, groups: Groups | None = None, step: int | None = None
) -> tuple[Measurement, ...]:
    """Measure the gradients that a backward pass has left.

    Args:
        named_parameters: those that do not require a gradient are left out.
        groups: parameter names by layer group; None = from the names.
        step: of the run.

    Returns:
        For each group and for all (group ""): gradient_norm (2-norm), gradient_not_finite (elements),
        without_gradient (tensors whose gradient is absent).
    """
    trained = {name: p for name, p in named_parameters if p.requires_grad}
    present = {name: p.grad.detach() for name, p in trained.items() if p.grad is not None}
    norms = _norms(present)
    not_finite = {name: float((~torch.isfinite(present[name])).sum()) for name, norm in norms.items() if not math.isfinite(norm)}
    members = {"": list(trained)} | dict(groups or by_layer(trained))
    kept = {group: [name for name in names if name in trained] for group, names in members.items()}
    return tuple(m for group, names in kept.items() if names for m in _group(group, names, norms, not_finite, step))


def _group(
    group: str, names: list[str], norms: Mapping[str, float], not_finite: Mapping[str, float], step: int | None
) -> tuple[Measurement, ...]:
    norm = sum(norms.get(name, 0.0) ** 2 for name in names) ** 0.5
    return (
        Measurement("gradient_norm", norm, "", step, group),
        Measurement("gradient_not_finite", sum(not_finite.get(name, 0.0) for name in names), "elements", step, group),
        Measurement("without_gradient", float(sum(name not in norms for name in names)), "tensors", step, group),
    )


def _norms(present: Mapping[str, Tensor]) -> dict[str, float]:
    """Norms by name. Synchronises the GPU once."""
    values = torch.stack(torch._foreach_norm([g.float() for g in present.values()])).tolist() if present else []
    return dict(zip(present, values, strict=True))
