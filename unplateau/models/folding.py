"""Batch normalisation folded into the convolution before it, in evaluation mode: the same numbers with fewer operations.

In evaluation mode a batch norm is a fixed scale and shift of each channel, which a convolution's weights and bias can hold
(Jacob et al. 2018, arXiv 1712.05877, section 3.2). Which norms follow which convolution is seen by running the network, so any
network is understood, and the folded copy is compared with the original before it is used: where they differ there is none.
"""

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

Run = Callable[[nn.Module], Tensor]
"""Embeds a few images with a network: network -> embeddings_BD."""

_LARGEST_DIFFERENCE = 1e-3  # relative, of an embedding in single precision; rounding through ResNet-50 was seen at 1e-5


@dataclass(frozen=True)
class Pair:
    """A convolution and the norm that sees its output and nothing else, by their names in the network."""

    convolution: str
    norm: str


def folded(model: nn.Module, run: Run) -> nn.Module | None:
    """Return a copy of `model` with its batch norms folded; None where none can be, or where the copy gives something else.

    Args:
        model: in evaluation mode and single precision; it is left as it is.
        run: on images as the network will see them, without autocast.
    """
    if any(_does_more_than_its_class(module) for module in model.modules()):
        return None
    pairs, wanted_BD = pairs_of(model, run)
    if not pairs:
        return None
    try:
        copied = fold(model, pairs)
        given_BD = _run(copied, run)
    except (RuntimeError, AttributeError, TypeError, ValueError):  # its code asks for the norm itself
        return None
    return copied if _are_alike(given_BD, wanted_BD) else None


def pairs_of(model: nn.Module, run: Run) -> tuple[tuple[Pair, ...], Tensor]:
    """Return which norms can be folded into which convolutions, and the embeddings that were computed to see it."""
    seen = _Seen(model)
    handles = [module.register_forward_pre_hook(partial(seen.before, name)) for name, module in model.named_modules()]
    handles += [module.register_forward_hook(partial(seen.after, name)) for name, module in model.named_modules()]
    try:
        embeddings_BD = _run(model, run)
    finally:
        for handle in handles:
            handle.remove()
    return seen.pairs(), embeddings_BD


def fold(model: nn.Module, pairs: tuple[Pair, ...]) -> nn.Module:
    """Return a copy of `model` in which these norms are part of their convolutions, whatever comes of it."""
    copied = copy.deepcopy(model).requires_grad_(False)
    for pair in pairs:
        convolution, norm = copied.get_submodule(pair.convolution), copied.get_submodule(pair.norm)
        assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        _fold_into(convolution, norm)
        rest = nn.Sequential(norm.drop, norm.act) if isinstance(norm, BatchNormAct2d) else nn.Identity()
        parent, _, name = pair.norm.rpartition(".")
        setattr(copied.get_submodule(parent), name, rest.eval())
    return copied


class _Seen:
    """Notes the calls of convolutions and norms while the network runs."""

    def __init__(self, model: nn.Module) -> None:
        named = dict(model.named_modules())
        self._convolutions = {name for name, one in named.items() if type(one) is nn.Conv2d}
        self._norms = {name for name, one in named.items() if _is_foldable(one)}
        self._calls: Counter[str] = Counter()
        self._outputs: list[tuple[str, Tensor, int]] = []
        self._sources: dict[str, str] = {}
        self._seers: dict[str, list[str]] = {}

    def before(self, name: str, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        for source, output, version in self._outputs:
            if any(value is output for value in inputs):
                self._seers.setdefault(source, []).append(name)
                if name in self._norms and output._version == version and len(inputs) == 1:
                    self._sources[name] = source

    def after(self, name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self._calls[name] += 1
        if name in self._convolutions and isinstance(output, Tensor):
            self._outputs.append((name, output, output._version))

    def pairs(self) -> tuple[Pair, ...]:
        """Return those where both were called once and no other module saw what lies between them."""
        return tuple(Pair(source, norm) for norm, source in self._sources.items() if self._is_between_them_alone(source, norm))

    def _is_between_them_alone(self, source: str, norm: str) -> bool:
        others = [name for name in self._seers[source] if not norm.startswith(f"{name}.")]  # what holds the norm hands it on
        return self._calls[source] == self._calls[norm] == 1 and others == [norm]


def _is_foldable(module: nn.Module) -> bool:
    if type(module) not in (nn.BatchNorm2d, BatchNormAct2d):
        return False
    assert isinstance(module, nn.BatchNorm2d)
    return not module.training and module.running_mean is not None and module.running_var is not None


def _does_more_than_its_class(module: nn.Module) -> bool:
    """Whether a call of it is more than its class's forward pass: hooks may keep what they see, in places that no copy has."""
    return "forward" in module.__dict__ or bool(module._forward_hooks or module._forward_pre_hooks)


@torch.no_grad()
def _fold_into(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Change the convolution's weights; in double precision, on the CPU where the device (MPS) has none."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale_C = (_double(norm.running_var) + norm.eps).rsqrt()
    if norm.weight is not None:
        scale_C = scale_C * _double(norm.weight)
    shift_C = -_double(norm.running_mean) if convolution.bias is None else _double(convolution.bias) - _double(norm.running_mean)
    bias_C = shift_C * scale_C if norm.bias is None else shift_C * scale_C + _double(norm.bias)
    weight = convolution.weight
    convolution.weight = nn.Parameter((_double(weight) * scale_C[:, None, None, None]).to(weight), requires_grad=False)
    convolution.bias = nn.Parameter(bias_C.to(weight), requires_grad=False)


def _double(tensor: Tensor) -> Tensor:
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


@torch.no_grad()  # not inference_mode, whose tensors do not count their changes
def _run(model: nn.Module, run: Run) -> Tensor:
    return run(model).float()


def _are_alike(one_BD: Tensor, other_BD: Tensor) -> bool:
    """Whether every embedding is the other's but for rounding. Synchronises the GPU."""
    if one_BD.shape != other_BD.shape:
        return False
    apart_B = (one_BD - other_BD).norm(dim=1) / other_BD.norm(dim=1).clamp(min=torch.finfo(torch.float32).tiny)
    return bool((apart_B < _LARGEST_DIFFERENCE).all())
