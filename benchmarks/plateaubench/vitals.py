"""What the published diagnosers look at, measured once an epoch: gradients, activations, updates, inputs.

Judging it by their rules: `baselines`. B batch.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts

_LAYERS = (nn.Conv2d, nn.Linear)
_CLOSE = 1e-5  # SageMaker's UnchangedTensor


class Vitals:
    """Looks at one training, after the last step of each epoch."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._before: dict[str, Tensor] = {}

    def before_step(self) -> None:
        """Remember the weights."""
        self._before = {name: p.detach().clone() for name, p in self._parts.model.named_parameters()}

    @torch.no_grad()
    def after_step(self, batch: Batch) -> dict[str, Any]:
        """Return the numbers: gradients are those the step has used."""
        model = self._parts.model
        weights = {name: p for name, p in model.named_parameters() if p.dim() > 1}
        gradients = {name: p.grad for name, p in weights.items() if p.grad is not None}
        norms = [float(g.norm()) for g in gradients.values()]
        rate = max(float(group["lr"]) for optimizer in self._parts.optimizers for group in optimizer.param_groups)
        ratios = [float(g.norm()) * rate / max(float(weights[n].norm()), 1e-30) for n, g in gradients.items()]
        updates = [
            float((p - self._before[name]).norm()) / max(float(self._before[name].norm()), 1e-30) for name, p in weights.items()
        ]
        images = batch.images_BCHW
        labels, counts = batch.person_ids_B.unique(return_counts=True)
        found = {
            "first_gradient": norms[0] if norms else 0.0,
            "last_gradient": norms[-1] if norms else 0.0,
            "least_mean_gradient": min((float(g.abs().mean()) for g in gradients.values()), default=0.0),
            "zero_gradients": max((float((g == 0).float().mean()) for g in gradients.values()), default=1.0),
            "rate_ratio_low": min(ratios, default=0.0),
            "rate_ratio_high": max(ratios, default=0.0),
            "update_low": min(updates),
            "update_high": max(updates),
            "unchanged_tensors": sum(torch.allclose(p, self._before[n], rtol=_CLOSE, atol=0) for n, p in weights.items()),
            "input_low": float(images.min()),
            "input_high": float(images.max()),
            "input_mean": float(images.mean(dim=(0, 2, 3)).abs().max()),
            "label_imbalance": float(counts.max() / counts.min()) if len(labels) else 1.0,
            "weight_variance_ratio": _variance_ratio(list(weights.values())),
            **self._activations(images),
        }
        return {name: value if math.isfinite(value) else str(value) for name, value in found.items()}

    def _activations(self, images_BCHW: Tensor) -> dict[str, float]:
        outputs: list[tuple[bool, Tensor]] = []
        hooks = [
            module.register_forward_hook(lambda m, i, o: outputs.append((isinstance(m, nn.ReLU), o.detach().clone())))
            for module in self._parts.model.modules()
            if isinstance(module, (*_LAYERS, nn.ReLU))
        ]
        was_training = self._parts.model.training
        self._parts.model.eval()
        self._parts.model(images_BCHW)
        self._parts.model.train(was_training)
        for hook in hooks:
            hook.remove()
        rectified = [o for is_rectifier, o in outputs if is_rectifier]
        return {
            "mean_output": max(float(o.abs().mean()) for _, o in outputs),
            "large_outputs": max(float((o.abs() > 5).float().mean()) for _, o in outputs),
            "not_positive": max((float((o <= 0).float().mean()) for o in rectified), default=0.0),
            "dead_units": max((float(((o > 0).float().mean((0, 2, 3)) < 0.01).float().mean()) for o in rectified), default=0.0),
        }


def _variance_ratio(weights: list[Tensor]) -> float:
    variances = [float(w.var()) for w in weights if w.numel() > 1]
    return max(variances) / max(min(variances), 1e-30)
