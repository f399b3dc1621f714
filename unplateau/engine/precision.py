"""Device, number format and memory layout of the training step, chosen from the configuration and the machine."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unplateau.base.errors import ConfigError
from unplateau.config.schema import Config


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
    """Return the number format for `SOLVER.AMP` on this device."""
    wanted = config.SOLVER.AMP.DTYPE if config.SOLVER.AMP.ENABLED else "fp32"
    if wanted == "auto":
        wanted = "bf16" if _computes_bf16(device) else "fp16" if device.type == "cuda" else "fp32"
    dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[wanted]
    if dtype is torch.float16 and device.type == "cpu":
        raise ConfigError(["SOLVER.AMP.DTYPE is fp16, which a CPU does not train in. Use bf16, or AMP.ENABLED False."])
    scaler = torch.amp.GradScaler(device.type) if dtype is torch.float16 else None
    return Precision(device.type, dtype, scaler)


def uses_channels_last(config: Config, device: torch.device, model: nn.Module) -> bool:
    """Return whether images and convolutions are laid out channels last: asked for, or auto and there are convolutions."""
    if config.SOLVER.CHANNELS_LAST != "auto":
        return config.SOLVER.CHANNELS_LAST == "on"
    return device.type in ("cpu", "cuda") and any(isinstance(part, nn.Conv2d) for part in model.modules())


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Return whether no tensor holds NaN or infinity. Synchronises the GPU."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)


def _computes_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # Turing only emulates it
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return bool(device.type == "cpu" and supported is not None and supported())
