"""Model files: weights with the configuration that made them, as plain tensors and text."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from unplateau.base.files import replacing

SCHEMA_VERSION = 1


def save_model(path: Path, model: nn.Module, *, config_yaml: str, facts: dict[str, Any]) -> None:
    """Write `model`'s weights (on the CPU, in contiguous layout), its configuration and `facts` such as epoch and mAP."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with replacing(path) as temporary:
        torch.save({"schema": SCHEMA_VERSION, "model": state, "config": config_yaml, **facts}, temporary)


def load_state(path: Path, model: nn.Module) -> dict[str, Any]:
    """Load weights that `save_model` wrote into `model` and return the facts. Raises RuntimeError where it does not fit."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(content.pop("model"))
    return dict(content)


def config_in(path: Path) -> str:
    """Return the configuration that a model file holds, as YAML; empty where it holds none or cannot be read."""
    try:
        config = torch.load(path, map_location="cpu", weights_only=True)["config"]
    except Exception:  # noqa: BLE001 - of damaged bytes torch raises what it likes; who asks has a better error
        return ""
    return config if isinstance(config, str) else ""
