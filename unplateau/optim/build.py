"""Optimisers and their parameter groups, as fast-reid sets them. Learning rates are written by `schedules` alone.

Every group holds "factor" (its rate relative to the schedule) or "fixed_lr" (a rate of its own), and "name".
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from unplateau.base.errors import ConfigError
from unplateau.config.schema import Config
from unplateau.config.schema_solver import Solver

_NORMALISATION = (
    nn.modules.batchnorm._BatchNorm,  # the base of BatchNorm1d to 3d and SyncBatchNorm
    nn.modules.instancenorm._InstanceNorm,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.LocalResponseNorm,
)
_CENTERS = "centers_ID"  # what losses/center.py calls its parameter
_FUSED_DEVICES = {"cpu", "cuda"}  # measured on two CPU cores, torch 2.15: Adam 3 to 4 times, SGD 2 to 3 times as fast as foreach


@dataclass(frozen=True)
class Group:
    """Settings that parameters of one group share."""

    factor: float
    weight_decay: float


def build_optimizers(config: Config, model: nn.Module, losses: nn.Module) -> tuple[Optimizer, ...]:
    """Return the main optimiser and, where there are centres of a centre loss, plain SGD at a fixed rate for them.

    Parameters that do not require a gradient are left out: freeze for good before, freeze for a while after this call. The
    head is `model.head`. A bias takes the bias settings, also that of a normalisation layer.

    Args:
        config: SOLVER is read, and MODEL.LOSSES.CENTER.LR.
        model: the network, on its device.
        losses: its parameters are trained too, at factor 1 without weight decay; centres apart.

    Raises:
        ConfigError: nothing is left to train, or Nesterov without momentum.
    """
    settings = config.SOLVER
    if settings.OPT == "SGD" and settings.NESTEROV and settings.MOMENTUM == 0:
        raise ConfigError(["SOLVER.NESTEROV needs SOLVER.MOMENTUM above 0; it is 0. Use MOMENTUM 0.9 or NESTEROV False."])
    groups = _groups(settings, model, losses)
    if not groups:
        raise ConfigError(["Every parameter of the model is frozen. Name fewer modules in MODEL.FREEZE_LAYERS."])
    main = _optimizer(settings, groups)
    center = config.MODEL.LOSSES.CENTER
    centers = [p for name, p in losses.named_parameters() if _is_centers(name)]
    if not centers or center.SCALE == 0:  # of weight 0 it gives no gradient, which a gradient scaler does not forgive
        return (main,)
    return main, _centers_optimizer(centers, center.LR)


def _groups(settings: Solver, model: nn.Module, losses: nn.Module) -> list[dict[str, Any]]:
    """Parameters by equal settings, in the order of the model: few groups are few kernels."""
    members: dict[Group, list[nn.Parameter]] = {}
    for key, parameter in _trained(settings, model, losses):
        members.setdefault(key, []).append(parameter)
    return [_plain(settings, key, parameters) for key, parameters in members.items()]


def _trained(settings: Solver, model: nn.Module, losses: nn.Module) -> Iterator[tuple[Group, nn.Parameter]]:
    seen: set[nn.Parameter] = set()
    for module_name, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and parameter not in seen:
                seen.add(parameter)
                yield _group(settings, module_name, module, name), parameter
    for name, parameter in losses.named_parameters():
        if parameter.requires_grad and not _is_centers(name):
            yield Group(factor=1.0, weight_decay=0.0), parameter


def _group(settings: Solver, module_name: str, module: nn.Module, name: str) -> Group:
    is_bias = name == "bias"
    factor = settings.HEADS_LR_FACTOR if _is_head(module_name) else 1.0
    if is_bias:
        return Group(factor * settings.BIAS_LR_FACTOR, settings.WEIGHT_DECAY_BIAS)
    is_normalisation = isinstance(module, _NORMALISATION)
    return Group(factor, settings.WEIGHT_DECAY_NORM if is_normalisation else settings.WEIGHT_DECAY)


def _plain(settings: Solver, key: Group, parameters: list[nn.Parameter]) -> dict[str, Any]:
    return {
        "params": parameters,
        "lr": settings.BASE_LR * key.factor,
        "weight_decay": key.weight_decay,
        "factor": key.factor,
        "name": f"rate x {key.factor:g}, weight decay {key.weight_decay:g}",
    }


def _optimizer(settings: Solver, groups: list[dict[str, Any]]) -> Optimizer:
    makers: dict[str, Callable[[], Optimizer]] = {
        "Adam": lambda: torch.optim.Adam(groups, lr=settings.BASE_LR, fused=_fused(groups)),
        "AdamW": lambda: torch.optim.AdamW(groups, lr=settings.BASE_LR, fused=_fused(groups)),
        "SGD": lambda: torch.optim.SGD(
            groups, lr=settings.BASE_LR, momentum=settings.MOMENTUM, nesterov=settings.NESTEROV, fused=_fused(groups)
        ),
    }
    return makers[settings.OPT]()


def _centers_optimizer(centers: list[nn.Parameter], rate: float) -> Optimizer:
    groups = [{"params": centers, "lr": rate, "fixed_lr": rate, "name": "centres of the centre loss"}]
    return torch.optim.SGD(groups, lr=rate, fused=_fused(groups))  # unfused, a gradient scaler would wait for the GPU


def _fused(groups: list[dict[str, Any]]) -> bool | None:
    """True where one fused kernel updates everything, None for torch's own choice."""
    parameters = [p for group in groups for p in group["params"]]
    return True if all(p.device.type in _FUSED_DEVICES and p.is_floating_point() for p in parameters) else None


def _is_head(module_name: str) -> bool:
    """Whether a module is `model.head` or inside it, also where the model is wrapped by DDP or torch.compile."""
    inner = module_name.removeprefix("module.").removeprefix("_orig_mod.")
    return inner.partition(".")[0] == "head"


def _is_centers(name: str) -> bool:
    return name.rpartition(".")[2] == _CENTERS
