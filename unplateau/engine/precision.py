"""Device, number format and memory layout of the training step: what configuration and machine leave open, and the rule.

Which of the open ways is fastest: `step_choice`.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unplateau.base.errors import ConfigError
from unplateau.config.schema import Config
from unplateau.runs.step_choice import StepWay


@dataclass(frozen=True)
class Precision:
    """How numbers are computed. `dtype` None is plain single precision; fp16 needs the loss scaler."""

    device_type: str
    dtype: torch.dtype | None
    scaler: torch.amp.GradScaler | None

    def autocast(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.dtype is None else torch.autocast(self.device_type, dtype=self.dtype)

    @property
    def name(self) -> str:
        return {None: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[self.dtype]


def choose_device(config: Config, local_rank: int = 0) -> torch.device:
    """Return the device `MODEL.DEVICE` names; auto takes a GPU where there is one, each process of a machine its own.

    Raises:
        ConfigError: the named device is not on this machine.
    """
    name = config.MODEL.DEVICE
    if name == "cuda":
        name = f"cuda:{local_rank}"
    if name == "auto":
        name = f"cuda:{local_rank}" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as problem:
        raise ConfigError(
            [f"MODEL.DEVICE is {name!r}, which torch does not know. Use auto, cpu, cuda, cuda:1 or mps."]
        ) from problem
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = f"{torch.cuda.device_count()} CUDA device(s)" if torch.cuda.is_available() else "no usable CUDA device"
        raise ConfigError([f"MODEL.DEVICE is {name}, but torch {torch.__version__} finds {found}. Use auto or cpu."])
    return device


def choose_precision(config: Config, device: torch.device) -> Precision:
    """Return the number format for `SOLVER.AMP` on this device, by rule.

    Raises:
        ConfigError: the device does not train in it.
    """
    return precision_of(number_formats(config, device)[-1], device)


def precision_of(number_format: str, device: torch.device) -> Precision:
    """Return how to compute in "fp32", "bf16" or "fp16"."""
    dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[number_format]
    scaler = torch.amp.GradScaler(device.type) if dtype is torch.float16 else None
    return Precision(device.type, dtype, scaler)


def uses_channels_last(config: Config, device: torch.device, model: nn.Module) -> bool:
    """Return whether images and convolutions are laid out channels last: asked for, or auto and there are convolutions."""
    return layouts(config, device, model)[-1]


def ways(config: Config, device: torch.device, model: nn.Module) -> tuple[StepWay, ...]:
    """Return the ways to compute a step that the configuration leaves open: the plainest first, the one by rule last.

    Raises:
        ConfigError: the device does not train in the number format that is asked for.
    """
    formats, channels_last = number_formats(config, device), layouts(config, device, model)
    return tuple(
        StepWay(number_format, is_last, frozen)
        for number_format in formats
        for is_last in channels_last
        for frozen in _frozen_formats(config, device, number_format, is_likely=is_last == channels_last[-1])
    )


def number_formats(config: Config, device: torch.device) -> tuple[str, ...]:
    """Return the number formats that `SOLVER.AMP` leaves open, the one by rule last."""
    if not config.SOLVER.AMP.ENABLED:
        return ("fp32",)
    wanted = config.SOLVER.AMP.DTYPE
    if wanted == "fp16" and device.type == "cpu":
        raise ConfigError(["SOLVER.AMP.DTYPE is fp16, which a CPU does not train in. Use bf16, or AMP.ENABLED False."])
    if wanted != "auto":
        return (wanted,)
    if _computes_bf16(device):
        return ("fp32", "bf16")
    return ("fp32", "fp16") if _computes_fp16(device) else ("fp32",)


def _frozen_formats(config: Config, device: torch.device, number_format: str, *, is_likely: bool) -> tuple[str, ...]:
    """Return the formats that are open for layers frozen for good, beside this one of the others; "" is the same."""
    amp, is_for_good = config.SOLVER.AMP, bool(config.MODEL.FREEZE_LAYERS) and config.SOLVER.FREEZE_ITERS == 0
    if number_format != "fp32" or not is_for_good or amp.FROZEN_DTYPE == "same" or config.SOLVER.COMPILE:
        return ("",)
    if amp.FROZEN_DTYPE == "bf16":
        return ("bf16",)
    is_tried = amp.ENABLED and is_likely and "bf16" in number_formats(config, device)
    return ("", "bf16") if is_tried else ("",)


def layouts(config: Config, device: torch.device, model: nn.Module) -> tuple[bool, ...]:
    """Return the values of channels last that `SOLVER.CHANNELS_LAST` leaves open, the one by rule last."""
    if config.SOLVER.CHANNELS_LAST != "auto":
        return (config.SOLVER.CHANNELS_LAST == "on",)
    has_use = device.type in ("cpu", "cuda") and any(isinstance(part, nn.Conv2d) for part in model.modules())
    return (False, True) if has_use else (False,)


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Return whether no tensor holds NaN or infinity. Synchronises the GPU, once for all tensors of one device."""
    flags: dict[torch.device, list[Tensor]] = {}
    for tensor in tensors:
        flags.setdefault(tensor.device, []).append(torch.isfinite(tensor).all())
    return all(bool(torch.stack(of_device).all()) for of_device in flags.values())


def _computes_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # Turing only emulates it
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return bool(device.type == "cpu" and supported is not None and supported())


def _computes_fp16(device: torch.device) -> bool:
    """Cards without bf16 whose fp16 is right: the GTX 16xx compute it wrongly (overflows to NaN), other devices not at all."""
    return device.type == "cuda" and "GTX 16" not in torch.cuda.get_device_name(device)
