"""Faults planted below the configuration, in the parts of a training: what preflight and diagnosis are tested with.

An injector takes healthy parts and gives faulty ones; it may change the model it is given, so hand it parts of its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unplateau.data.loader import Batch, TrainLoader
from unplateau.engine.parts import Parts
from unplateau.optim.build import build_optimizers


@dataclass(frozen=True)
class Fault:
    """A bug with the causes that a diagnosis may rightly name."""

    name: str
    causes: frozenset[str]
    inject: Callable[[Parts], Parts]


def stale_optimizer(parts: Parts) -> Parts:
    """Hand every optimiser flat buffers whose gradient is bound once and lost at the first zero_grad.

    As fast-reid 1.3 on torch 2: the weights are views of a flat buffer, and their gradients are views of the buffer's gradient.
    `zero_grad(set_to_none=True)` takes the buffer's gradient away, the weights keep theirs, and `step()` skips the buffer in
    silence.
    """
    return replace(parts, optimizers=tuple(_on_flat_buffers(optimizer) for optimizer in parts.optimizers))


def optimizer_of_copies(parts: Parts) -> Parts:
    """Build the optimisers on copies of the weights, as when the model is replaced after they were made."""
    return replace(parts, optimizers=tuple(_rebuilt(optimizer, _copies) for optimizer in parts.optimizers))


def frozen_backbone(parts: Parts) -> Parts:
    """Stop gradients of the backbone's weights after the optimiser was built."""
    parts.model.backbone.requires_grad_(False)
    return parts


def detached_backbone(parts: Parts) -> Parts:
    """Cut the graph between backbone and head: its weights want gradients and never get one."""
    parts.model.backbone.register_forward_hook(lambda module, inputs, output: output.detach())
    return parts


def layers_in_a_plain_list(parts: Parts) -> Parts:
    """Hold the backbone's last stage in a Python list and not in a `ModuleList`, and build the optimisers afterwards."""
    stages = cast(nn.Sequential, parts.model.backbone.stages)
    stages[-1] = _PlainList(stages[-1])
    return replace(parts, optimizers=build_optimizers(parts.config, parts.model, parts.losses))


def blank_images(parts: Parts) -> Parts:
    """Replace every image by zeros."""
    return _with_batches(parts, lambda batch: replace(batch, images_BCHW=torch.zeros_like(batch.images_BCHW)))


def unnormalised_images(parts: Parts) -> Parts:
    """Leave images on the 0-255 scale."""
    return _with_batches(parts, lambda batch: replace(batch, images_BCHW=batch.images_BCHW * 58.0 + 114.0))


def labels_off_by_one(parts: Parts) -> Parts:
    """Number identities 1..I."""
    return _with_batches(parts, lambda batch: replace(batch, person_ids_B=batch.person_ids_B + 1))


def softmax_before_cross_entropy(parts: Parts) -> Parts:
    """Give the loss probabilities instead of logits."""
    classifier = parts.model.head.classifier
    assert classifier is not None
    classifier.register_forward_hook(lambda module, inputs, output: output.softmax(1))
    return parts


FAULTS = (
    Fault("stale_optimizer", frozenset({"stale-optimizer"}), stale_optimizer),
    Fault("optimizer_of_copies", frozenset({"stale-optimizer"}), optimizer_of_copies),
    Fault("frozen_backbone", frozenset({"everything-frozen", "frozen-backbone"}), frozen_backbone),
    Fault("detached_backbone", frozenset({"detached-branch", "no-gradient"}), detached_backbone),
    Fault("layers_in_a_plain_list", frozenset({"layers-frozen", "stale-optimizer"}), layers_in_a_plain_list),
    Fault("blank_images", frozenset({"blank-inputs"}), blank_images),
    Fault("unnormalised_images", frozenset({"inputs-not-normalised"}), unnormalised_images),
    Fault("labels_off_by_one", frozenset({"labels-out-of-range"}), labels_off_by_one),
    Fault("softmax_before_cross_entropy", frozenset({"softmax-before-ce"}), softmax_before_cross_entropy),
)


def weights_of(parts: Parts) -> dict[str, Tensor]:
    """Return a copy of the model's weights by name."""
    return {name: p.detach().clone() for name, p in parts.model.named_parameters()}


def _on_flat_buffers(optimizer: Optimizer) -> Optimizer:
    flat = _rebuilt(optimizer, lambda parameters: [_flat_buffer(parameters)])
    flat.zero_grad(set_to_none=True)  # torch's default; fast-reid calls it before every backward pass
    return flat


def _rebuilt(optimizer: Optimizer, parameters_of: Callable[[list[nn.Parameter]], list[nn.Parameter]]) -> Optimizer:
    groups = [{**group, "params": parameters_of(group["params"])} for group in optimizer.param_groups]
    settings = {name: value for name, value in optimizer.defaults.items() if name in {"lr", "momentum", "nesterov"}}
    kind: Any = type(optimizer)
    return cast(Optimizer, kind(groups, **settings))


def _copies(parameters: list[nn.Parameter]) -> list[nn.Parameter]:
    return [nn.Parameter(p.detach().clone()) for p in parameters]


@torch.no_grad()
def _flat_buffer(parameters: list[nn.Parameter]) -> nn.Parameter:
    buffer = nn.Parameter(torch.cat([p.detach().flatten() for p in parameters]))
    buffer.grad = torch.zeros_like(buffer)
    start = 0
    for parameter in parameters:
        piece = slice(start, start + parameter.numel())
        parameter.data = buffer.data[piece].view(parameter.shape)
        parameter.grad = buffer.grad[piece].view(parameter.shape)
        start = piece.stop
    return buffer


def _with_batches(parts: Parts, change: Callable[[Batch], Batch]) -> Parts:
    return replace(parts, train_loader=cast(TrainLoader, _ChangedLoader(parts.train_loader, change)))


class _PlainList(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layers = [layer]

    def forward(self, features: Tensor) -> Tensor:
        return cast(Tensor, self.layers[0](features))


class _ChangedLoader:
    """A loader whose batches pass through a function."""

    def __init__(self, loader: TrainLoader, change: Callable[[Batch], Batch]) -> None:
        self._loader, self._change = loader, change
        self.num_identities, self.num_cameras = loader.num_identities, loader.num_cameras
        self.person_of_label, self.steps_per_epoch = loader.person_of_label, loader.steps_per_epoch
        self.notes = loader.notes

    def epoch(self, epoch: int) -> Iterator[Batch]:
        return map(self._change, self._loader.epoch(epoch))
