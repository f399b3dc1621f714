"""Layers that are not trained: for good or for the first steps (`MODEL.FREEZE_LAYERS`, `SOLVER.FREEZE_ITERS`), or because
no loss looks at them."""

from torch import nn

from unplateau.base.errors import ConfigError
from unplateau.config.schema import Config


def check_frozen_layers(model: nn.Module, config: Config) -> None:
    """Check that every prefix in `MODEL.FREEZE_LAYERS` names a part of the model.

    Raises:
        ConfigError: it does not.
    """
    names = [name for name, _ in model.named_modules() if name]
    for prefix in config.MODEL.FREEZE_LAYERS:
        if prefix not in names:
            tops = ", ".join(name for name, _ in model.named_children())
            raise ConfigError(
                [f"MODEL.FREEZE_LAYERS names {prefix!r}, which the model does not have. It has {tops} and their parts."]
            )


def unseen_by_losses(config: Config) -> tuple[str, ...]:
    """Return the parts of the model that no loss in use looks at: without cross-entropy the classifier, and a BNNeck after
    the feature."""
    losses = config.MODEL.LOSSES
    if "CrossEntropyLoss" in losses.NAME and losses.CE.SCALE > 0:
        return ()
    return ("head.classifier", "head.neck") if config.MODEL.HEADS.NECK_FEAT == "before" else ("head.classifier",)


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
        for module in part.modules():
            if isinstance(module, nn.BatchNorm1d) and module.bias is not None:
                module.bias.requires_grad_(False)  # the BNNeck's bias stays frozen whatever thaws (Luo et al. 2019)
