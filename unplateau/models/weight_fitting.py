"""Fits one tensor of a file to one of a network: same shape, or a translation that keeps its meaning. H/W grid of patches."""

import math

from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn


def fit(network: nn.Module, name: str, tensor: Tensor, wanted: Tensor) -> Tensor | None:
    """Return `tensor` in the shape of `wanted`, the network's own of that name; None where nothing keeps its meaning.

    Known: singleton axes (a 1x1 convolution as a linear layer, a table with an axis of 1), position embeddings of another
    square grid, relative position biases of a smaller window.
    """
    if tensor.shape == wanted.shape:
        return tensor
    if tensor.squeeze().shape == wanted.squeeze().shape:
        return tensor.reshape(wanted.shape)
    owner, _, leaf = name.rpartition(".")
    if leaf == "pos_embed":
        return _resampled_positions(network.get_submodule(owner), tensor, wanted)
    if leaf == "relative_position_bias_table":
        return _same_offsets(tensor, network.get_submodule(owner))
    return None


def _same_offsets(tensor: Tensor, attention: nn.Module) -> Tensor | None:
    """Cut a table of relative positions down to a smaller window: the same offsets keep their biases.

    Args:
        tensor: (offsets, heads) of a square window.
        attention: with a `window_size` (rows, columns); Swin shrinks it where the map is smaller than the window.
    """
    rows, columns = attention.window_size  # type: ignore[misc]
    side, heads = math.isqrt(tensor.shape[0]), tensor.shape[-1]
    top, left = (side - (2 * rows - 1)) // 2, (side - (2 * columns - 1)) // 2
    if side * side != tensor.shape[0] or top < 0 or left < 0:
        return None
    square = tensor.reshape(side, side, heads)
    return square[top : side - top, left : side - left].reshape(-1, heads)


def _resampled_positions(owner: nn.Module, tensor: Tensor, wanted: Tensor) -> Tensor | None:
    patches = getattr(owner, "patch_embed", None)
    if patches is None or tensor.dim() != 3 or tensor.shape[-1] != wanted.shape[-1]:
        return None
    prefix = wanted.shape[1] - math.prod(patches.grid_size)
    if math.isqrt(tensor.shape[1] - prefix) ** 2 != tensor.shape[1] - prefix:
        return None  # the old grid's shape is not in the file; only squares can be told
    resampled: Tensor = resample_abs_pos_embed(tensor, new_size=list(patches.grid_size), num_prefix_tokens=prefix)
    return resampled
