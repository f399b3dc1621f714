"""An exponential moving average of a model's weights (Polyak & Juditsky 1992); buffers, such as batch statistics, are copied.

The decay is eased in as min(decay, (1 + updates) / (10 + updates)), so that the first weights, which are random, are soon
forgotten (as in TensorFlow's ExponentialMovingAverage with `num_updates`).
"""

import copy
from typing import Any

import torch
from torch import nn


class MovingAverage:
    """Holds the averaged model, in evaluation mode and without gradients, as `model`.

    Args:
        model: copied as it is now.
        decay: share of the old average that one update keeps, 0 to 1.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights of `model`, which has the same parameters and buffers as at the start."""
        self.updates += 1
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        averages = [p.detach() for p in self.model.parameters()]
        weights = [p.detach() for p in model.parameters()]
        torch._foreach_lerp_(averages, weights, weight)  # one call instead of hundreds; torch's own swa_utils uses it too
        for is_float in (True, False):  # in one call each, as above
            pairs = zip(self.model.buffers(), model.buffers(), strict=True)
            chosen = [(average, buffer) for average, buffer in pairs if buffer.is_floating_point() == is_float]
            if chosen:
                torch._foreach_copy_([average for average, _ in chosen], [buffer for _, buffer in chosen])

    def state_dict(self) -> dict[str, Any]:
        """Return updates and averaged weights for a checkpoint."""
        return {"updates": self.updates, "model": self.model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        self.updates = state["updates"]
        self.model.load_state_dict(state["model"])
