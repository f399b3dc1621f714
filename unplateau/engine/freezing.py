"""Layers that are not trained, for good or for the first steps: `MODEL.FREEZE_LAYERS`, `SOLVER.FREEZE_ITERS`."""

from torch import nn

from unplateau.base.errors import ConfigError
from unplateau.config.schema import Config


def check_frozen_layers(model: nn.Module, config: Config) -> None:
    """Check that every prefix in `MODEL.FREEZE_LAYERS` names a part of the model.

    Raises:
        ConfigError: it does not, or layers would thaw in a run of several processes.
    """
    names = [name for name, _ in model.named_modules() if name]
    for prefix in config.MODEL.FREEZE_LAYERS:
        if prefix not in names:
            tops = ", ".join(name for name, _ in model.named_children())
            raise ConfigError(
                [f"MODEL.FREEZE_LAYERS names {prefix!r}, which the model does not have. It has {tops} and their parts."]
            )


def freeze(model: nn.Module, config: Config, step: int) -> None:
    """Set the frozen layers for `step`: no gradient and, so that their statistics stay, evaluation mode."""
    layers = config.MODEL.FREEZE_LAYERS
    if not layers:
        return
    is_frozen = config.SOLVER.FREEZE_ITERS == 0 or step < config.SOLVER.FREEZE_ITERS
    for name in layers:
        part = model.get_submodule(name)
        part.train(model.training and not is_frozen)
        part.requires_grad_(not is_frozen)
