"""What changed between two saved states of one network, of any trainer: weights by layer group, buffers apart.

Cost: one read of each. Only plain tensors are read, never code. Exactly 0 everywhere: the weights were never updated; other
than 0 in the head only: a frozen backbone.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from unplateau.base.archives import refuse_bomb
from unplateau.base.errors import DataNotFoundError, WeightsError
from unplateau.probes.layer_groups import bare_name, by_layer
from unplateau.runs.record import Measurement

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
_CONTAINERS = ("model", "state_dict", "model_state_dict", "net", "network", "weights")


def checkpoint_pair(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> tuple[Measurement, ...]:
    """Compare two states; names are compared without what wrappers put before them.

    Returns:
        For each layer group and for all weights (group ""): checkpoint_motion (|dw| / |w|, relative), tensors_unchanged (share
        equal to the bit), elements (compared). The same for batch statistics (group "buffers"). And tensors_in_one_only
        (names or shapes without a partner; the first three in the note).
    """
    old, new = _plain(before), _plain(after)
    common = [name for name in old if name in new and old[name].shape == new[name].shape]
    alone = sorted((set(old) | set(new)) - set(common))
    weights = [name for name in common if not name.endswith(_BUFFERS) and old[name].is_floating_point()]
    statistics = [name for name in common if name.endswith(_BUFFERS[:2])]
    squares = {name: _squares(old[name], new[name]) for name in (*weights, *statistics)}
    groups = {"": weights, **by_layer(weights), "buffers": statistics}
    measurements = [m for group, names in groups.items() if names for m in _group(group, names, squares, old)]
    return (*measurements, Measurement("tensors_in_one_only", float(len(alone)), "tensors", note=", ".join(alone[:3])))


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the network's tensors of a .pth, .pt, .tar or .safetensors file of any trainer.

    Raises:
        DataNotFoundError: there is no such file.
        WeightsError: it holds anything but plain data, or no tensors.
    """
    if not path.is_file():
        raise DataNotFoundError(f"There is no checkpoint {path}. Pass the path of a .pth, .pt, .tar or .safetensors file.")
    tensors = _tensors(_content(path))
    if not tensors:
        raise WeightsError(f"{path} holds no tensors of a network. Expected a state_dict, or one under {', '.join(_CONTAINERS)}.")
    return tensors


def epoch_of(path: Path) -> int | None:
    """Return the epoch that a checkpoint says it was written after; None where it does not say."""
    content = _content(path)
    epoch = content.get("epoch") if isinstance(content, Mapping) else None
    return epoch if isinstance(epoch, int) else None


def _content(path: Path) -> Any:
    # loggers leave numbers of NumPy in checkpoints; a scalar is plain data
    scalar = numpy.float64(0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")  # NumPy 1 and 2
    harmless: list[Any] = [*((scalar, name) for name in names), numpy.dtype, numpy.dtypes.Float64DType, numpy.dtypes.Int64DType]
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        refuse_bomb(path)
        with torch.serialization.safe_globals(harmless):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - a damaged file raises whatever its bytes lead to
        said = str(error).splitlines()[0].partition(". ")[0][:200] if str(error) else ""  # not torch's advice
        reason = said if any(map(str.isalpha, said)) else type(error).__name__
        raise WeightsError(
            f"{path} cannot be read as plain tensors ({reason}). Save it again as torch.save(model.state_dict(), FILE)."
        ) from error


def _tensors(content: Any) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        return {}
    for name in _CONTAINERS:
        if isinstance(content.get(name), Mapping):
            return _tensors(content[name])
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {bare_name(name): tensor.detach() for name, tensor in state.items()}


def _squares(old: Tensor, new: Tensor) -> tuple[float, float, bool]:
    same = torch.equal(old, new)
    old = old.double()
    return 0.0 if same else float((new.double() - old).square().sum()), float(old.square().sum()), same


def _group(
    group: str, names: list[str], squares: Mapping[str, tuple[float, float, bool]], old: Mapping[str, Tensor]
) -> tuple[Measurement, ...]:
    moved, length = (sum(squares[name][k] for name in names) for k in (0, 1))
    unchanged = sum(squares[name][2] for name in names) / len(names)
    return (
        Measurement("checkpoint_motion", (moved / max(length, 1e-60)) ** 0.5, "relative", group=group),
        Measurement("tensors_unchanged", unchanged, "share", group=group),
        Measurement("elements", float(sum(old[name].numel() for name in names)), "elements", group=group),
    )
