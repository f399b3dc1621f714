"""What a backbone builder hands on: the network and what the rest must know of it. C channels, H/W image."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unplateau.base.errors import ConfigError
from unplateau.config.schema_model import IMAGENET_MEAN, IMAGENET_STD

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Colours:
    """Normalisation of images, on the 0-255 scale."""

    mean: Colour
    std: Colour


IMAGENET_COLOURS = Colours(IMAGENET_MEAN, IMAGENET_STD)


@dataclass(frozen=True)
class PublicWeights:
    """Where public pretrained weights of a network come from."""

    name: str
    """As a reader would look for them."""
    url: str = ""
    hub_id: str = ""
    """Repository on the Hugging Face hub; preferred over `url`."""
    hub_files: tuple[str, ...] = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class Network:
    """A backbone with random weights."""

    module: nn.Module
    feature_dim: int
    gives_vectors: bool = False
    """Output is (B, D), already pooled; otherwise a feature map."""
    gives_channels_last: bool = False
    """Feature maps come as (B, H, W, C)."""
    public: PublicWeights | None = None
    colours: Colours | None = None
    """Normalisation its public weights were trained with; None = unknown."""
    notes: tuple[str, ...] = ()
    """Keys that say nothing about this network."""


def try_out(module: nn.Module, size: tuple[int, int], name: str) -> Tensor:
    """Return the module's output for one black image, in evaluation mode and without a trace.

    Args:
        module: maps (1, 3, H, W) to something.
        size: height and width.
        name: of the backbone, for the message.

    Raises:
        ConfigError: it fails, or gives no tensor.
    """
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            output = module(torch.zeros(1, 3, *size))
    except (RuntimeError, ValueError, TypeError, AssertionError, IndexError) as error:
        raise ConfigError(
            [f"MODEL.BACKBONE.NAME {name} cannot take images of {size[0]} x {size[1]} (INPUT.SIZE_TRAIN): {error}"]
        ) from error
    finally:
        module.train(was_training)
    if not isinstance(output, Tensor):
        kind = type(output).__name__
        raise ConfigError([f"MODEL.BACKBONE.NAME {name} gives a {kind}; expected one tensor, (B, C, h, w) or (B, D)."])
    return output
