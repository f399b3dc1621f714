"""Reads weight files as plain tensors, never running code that a file may hold. Names are fitted in `weight_names`."""

import argparse
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from unplateau.base.archives import refuse_bomb
from unplateau.base.errors import DataNotFoundError, WeightsError

CONTAINERS = ("state_dict", "model", "model_state_dict", "net", "network", "teacher", "params", "module")
_WRAPPERS = ("module.", "_orig_mod.")  # of DataParallel and torch.compile
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_NESTING = 4  # containers within containers, more than anyone uses


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weight file by name, on the CPU, containers and wrapper prefixes taken off.

    Args:
        path: .pth, .pt, .tar, .bin, .ckpt (what torch.save writes) or .safetensors.

    Raises:
        DataNotFoundError: no such file.
        WeightsError: no weight file, damaged, without tensors, or it would have run code.
    """
    if not path.is_file():
        raise DataNotFoundError(f"Weights {path}: no such file (looked from {Path.cwd()}).")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    tensors = {name: value for name, value in _unwrap(content).items() if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{path} holds no tensors by name; expected a state dict, or one under {', '.join(CONTAINERS[:4])}.")
    return _without_wrappers(tensors)


def _read_safetensors(path: Path) -> Any:
    try:
        return load_file(path, device="cpu")
    except SafetensorError as error:
        raise WeightsError(f"{path} is no whole safetensors file ({error}). Download it again.") from error


def _read_pickle(path: Path) -> Any:
    try:
        refuse_bomb(path)
        with torch.serialization.safe_globals(_plain_data()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(_refusal(path, str(error))) from error
    except Exception as error:  # of damaged bytes the unpickler, the archive and torch raise a dozen kinds
        raise WeightsError(_refusal(path, str(error))) from error


def _plain_data() -> list[Any]:
    """What old checkpoints hold beside tensors and is data too: NumPy numbers (scores) and argparse's namespaces (options)."""
    scalar = np.float64(0).__reduce__()[0]  # NumPy's own constructor of a number, wherever this version keeps it
    kinds = {type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.bool_)}
    named = [(scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar")]
    return [*named, np.dtype, *kinds, argparse.Namespace]


def _refusal(path: Path, reason: str) -> str:
    refused = _GLOBAL.search(reason)
    if refused is not None:
        return (
            f"{path} was not loaded: beside tensors it holds Python objects ({refused.group(1)}), and building them can run "
            "code. Expected a state dict of plain tensors. If you trust the file's origin, convert it once, where its code is "
            "installed: "
            "python -c \"import torch; c = torch.load('FILE', map_location='cpu', weights_only=False); "
            "torch.save(c.get('state_dict', c) if isinstance(c, dict) else c.state_dict(), 'PLAIN.pth')\""
        )
    if "TorchScript" in reason:
        return f"{path} is a TorchScript archive, which is a program. Expected what torch.save(module.state_dict(), ...) writes."
    with path.open("rb") as stream:
        start = stream.read(40)
    if start.startswith((b"<", b"version https://git-lfs")):
        return f"{path} is a web page or a pointer file instead of weights (it begins {start!r}). Download the file itself."
    size = path.stat().st_size
    return f"{path} cannot be read as a PyTorch file; it may be cut off ({size} bytes): {reason[:200] or 'no reason given'}"


def _unwrap(content: Any) -> Mapping[Any, Any]:
    for _ in range(_NESTING):
        if not isinstance(content, Mapping):
            return {}
        inner = next((content[key] for key in CONTAINERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            return content
        content = inner
    return content if isinstance(content, Mapping) else {}


def _without_wrappers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for _ in range(len(_WRAPPERS)):
        for wrapper in _WRAPPERS:
            if all(name.startswith(wrapper) for name in tensors):
                tensors = {name.removeprefix(wrapper): tensor for name, tensor in tensors.items()}
    return tensors
