"""Norms of the gradients by layer group, and what is missing or not finite. Cost: one pass over the gradients of a step."""

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
    groups = groups or by_layer(trained)
    squares, not_finite = _by_tensor(trained)
    measurements = []
    for group, names in ({"": list(trained)} | dict(groups)).items():
        present = [name for name in names if name in trained]
        if present:
            measurements += [
                Measurement("gradient_norm", sum(squares[name] for name in present) ** 0.5, "", step, group),
                Measurement("gradient_not_finite", sum(not_finite[name] for name in present), "elements", step, group),
                Measurement("without_gradient", float(sum(trained[n].grad is None for n in present)), "tensors", step, group),
            ]
    return tuple(measurements)


@torch.no_grad()
def _by_tensor(trained: Mapping[str, nn.Parameter]) -> tuple[dict[str, float], dict[str, float]]:
    rows = [_square_and_not_finite(p) for p in trained.values()]
    values = torch.stack(rows).tolist() if rows else []  # synchronises the GPU, once
    named = dict(zip(trained, values, strict=True))
    return {name: square for name, (square, _) in named.items()}, {name: count for name, (_, count) in named.items()}


def _square_and_not_finite(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        return torch.zeros(2, dtype=torch.float64, device=parameter.device)
    gradient = parameter.grad.detach()
    return torch.stack([gradient.double().square().sum(), (~torch.isfinite(gradient)).sum().double()])
