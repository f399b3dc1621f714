"""Share of units of each activation that are zero on every image of a probe set. Cost: 1 F with hooks.

A unit is a channel of a feature map, or a component of a vector.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from unplateau.runs.record import Measurement

_RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.LeakyReLU)


@torch.no_grad()
def dead_units(model: nn.Module, forward: Callable[[], Any], *, step: int | None = None) -> tuple[Measurement, ...]:
    """Run `forward` and look at the output of each rectifier of `model`.

    Args:
        model: whose modules are watched.
        forward: runs the model on the probe set, in whatever mode the caller chose.
        step: of the run.

    Returns:
        dead_units (share) for each rectifier by module name, and the highest of them under group "".
    """
    alive: dict[str, Tensor] = {}
    hooks = [m.register_forward_hook(_watch(alive, name)) for name, m in model.named_modules() if isinstance(m, _RECTIFIERS)]
    try:
        forward()
    finally:
        for hook in hooks:
            hook.remove()
    shares = {name: 1 - float(units.float().mean()) for name, units in alive.items()}
    if not shares:
        return (Measurement("dead_units", None, "share", step, note="the model has no rectifier module"),)
    highest = Measurement("dead_units", max(shares.values()), "share", step)
    return (highest, *(Measurement("dead_units", share, "share", step, name) for name, share in shares.items()))


@torch.no_grad()
def zero_weights(model: nn.Module, *, step: int | None = None) -> tuple[Measurement, ...]:
    """Measure how many weights of convolutions and linear layers are exactly 0, which neither a start nor training makes.

    Returns:
        zero_weights (share).
    """
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    elements = sum(matrix.numel() for matrix in matrices)
    zeros = sum(matrix.numel() - int(matrix.count_nonzero()) for matrix in matrices)
    return (Measurement("zero_weights", zeros / max(elements, 1), "share", step),)


def _watch(alive: dict[str, Tensor], name: str) -> Callable[..., None]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        others = [dim for dim in range(output.dim()) if dim != 1]
        units = (output != 0).sum(dim=others) > 0
        alive[name] = alive[name] | units if name in alive else units

    return hook
