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
    _keep_neck_bias_frozen(model)


def _keep_neck_bias_frozen(model: nn.Module) -> None:
    """The BNNeck's bias is never trained, whatever thaws (Luo et al. 2019)."""
    for name, parameter in model.named_parameters():
        if name == "head.neck.bias":
            parameter.requires_grad_(False)
