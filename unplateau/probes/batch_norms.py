"""What batch normalisation uses while training, and whether its running statistics fit what it sees. Cost: 1 F a batch.

Ioffe and Szegedy 2015, section 3.1: a training step normalises by its batch, evaluation by averages over training. Where the
averages do not fit, evaluation sees another network than the one that was trained.

Shape legend: N values of a channel, C channels.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from unplateau.runs.record import Measurement

_SMALLEST_STD = 1e-6


class _Seen:
    """Sums over the batches that went into one layer, and the statistics it kept before them."""

    def __init__(self, layer: nn.modules.batchnorm._BatchNorm) -> None:
        mean_C, var_C = layer.running_mean, layer.running_var
        self.kept = None if mean_C is None or var_C is None else (mean_C.clone(), var_C.clone())
        self.calls = self.calls_in_evaluation = 0
        self.means: list[Tensor] = []
        self.variances: list[Tensor] = []

    def add(self, layer: nn.modules.batchnorm._BatchNorm, values: Tensor) -> None:
        columns_CN = values.detach().double().transpose(0, 1).flatten(1)
        self.calls += 1
        self.calls_in_evaluation += not layer.training and layer.running_mean is not None
        self.means.append(columns_CN.mean(1))
        self.variances.append(columns_CN.var(1, correction=0))

    def apart(self) -> float | None:
        """How many standard deviations of a batch the kept means lie from what was seen, median over channels."""
        if self.kept is None or not self.means:
            return None
        mean_C, std_C = torch.stack(self.means).mean(0), torch.stack(self.variances).mean(0).sqrt()
        return float(((self.kept[0].double() - mean_C).abs() / std_C.clamp(min=_SMALLEST_STD)).median())

    def scales(self) -> Tensor | None:
        """Kept standard deviation over the one seen, channel by channel."""
        if self.kept is None or not self.variances:
            return None
        std_C = torch.stack(self.variances).mean(0).sqrt().clamp(min=_SMALLEST_STD)
        return self.kept[1].double().sqrt() / std_C


@torch.no_grad()
def batch_norms(model: nn.Module, forward: Callable[[], Any], *, step: int | None = None) -> tuple[Measurement, ...]:
    """Run `forward` in training mode and look at every batch-norm layer of `model`.

    Args:
        model: whose modules are watched; its running statistics move as in any training step.
        forward: runs the model on several training batches, in training mode.
        step: of the run.

    Returns:
        batch_norm_in_evaluation (share of the layers' calls that normalised by running statistics), over layers the largest
        running_mean_apart (standard deviations) and the running_std_ratio that is farthest from 1, and over all channels
        running_std_factor (median of kept over seen) with running_std_spread (of its logarithm; small where one factor holds for
        all). Nothing for a model without batch normalisation.
    """
    layers = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    seen = {layer: _Seen(layer) for layer in layers}

    def watch(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[layer].add(layer, inputs[0])  # type: ignore[index,arg-type]

    hooks = [layer.register_forward_pre_hook(watch) for layer in layers]
    try:
        forward()
    finally:
        for hook in hooks:
            hook.remove()
    used = [one for one in seen.values() if one.calls]
    if not used:
        return ()
    in_evaluation = sum(one.calls_in_evaluation for one in used) / sum(one.calls for one in used)
    apart = [value for one in used if (value := one.apart()) is not None]
    scales = [scale_C for one in used if (scale_C := one.scales()) is not None]
    ratios = [float(scale_C.median()) for scale_C in scales]
    return (
        Measurement("batch_norm_in_evaluation", in_evaluation, "share", step),
        Measurement("running_mean_apart", max(apart, default=None), "standard deviations", step),
        Measurement("running_std_ratio", max(ratios, key=_from_one, default=None), "ratio", step),
        *_one_factor(scales, step),
    )


def _one_factor(scales: list[Tensor], step: int | None) -> tuple[Measurement, ...]:
    if not scales:
        return ()
    logs = torch.cat(scales).clamp(min=_SMALLEST_STD).log()
    low, middle, high = torch.quantile(logs, torch.tensor([0.16, 0.5, 0.84], dtype=logs.dtype, device=logs.device)).tolist()
    return (
        Measurement("running_std_factor", math.exp(middle), "ratio", step),
        Measurement("running_std_spread", (high - low) / 2, "", step),
    )


def _from_one(ratio: float) -> float:
    return max(ratio, 1 / max(ratio, 1e-30))
