"""Fits one tensor of a file to one of a network: same shape, or a translation that keeps its meaning. H/W grid of patches."""

import math

from timm.layers import resample_abs_pos_embed, resize_rel_pos_bias_table
from torch import Tensor, nn


def fit(network: nn.Module, name: str, tensor: Tensor, wanted: Tensor) -> Tensor | None:
    """Return `tensor` in the shape of `wanted`, the network's own of that name; None where nothing keeps its meaning.

    Known: singleton axes (a 1x1 convolution as a linear layer, a table with an axis of 1), position embeddings of another
    square grid, relative position biases of another window.
    """
    if tensor.shape == wanted.shape:
        return tensor
    if tensor.squeeze().shape == wanted.squeeze().shape:
        return tensor.reshape(wanted.shape)
    owner, _, leaf = name.rpartition(".")
    if leaf == "pos_embed":
        return _resampled_positions(network.get_submodule(owner), tensor, wanted)
    if leaf == "relative_position_bias_table" and tensor.shape[-1] == wanted.shape[-1]:
        window = network.get_submodule(owner).window_size
        resized: Tensor = resize_rel_pos_bias_table(tensor, new_window_size=window, new_bias_shape=wanted.shape)  # type: ignore[arg-type]
        return resized
    return None


def _resampled_positions(owner: nn.Module, tensor: Tensor, wanted: Tensor) -> Tensor | None:
    patches = getattr(owner, "patch_embed", None)
    if patches is None or tensor.dim() != 3 or tensor.shape[-1] != wanted.shape[-1]:
        return None
    prefix = wanted.shape[1] - math.prod(patches.grid_size)
    if math.isqrt(tensor.shape[1] - prefix) ** 2 != tensor.shape[1] - prefix:
        return None  # the old grid's shape is not in the file; only squares can be told
    resampled: Tensor = resample_abs_pos_embed(tensor, new_size=list(patches.grid_size), num_prefix_tokens=prefix)
    return resampled
