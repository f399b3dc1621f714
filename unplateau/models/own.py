"""A backbone of the user's own, named `package.module:function`, so that nobody has to fork."""

import inspect

from torch import nn

from unplateau.base.errors import ConfigError
from unplateau.base.own_code import import_own
from unplateau.config.schema import Config
from unplateau.models.network import Network, try_out

_KEY = "MODEL.BACKBONE.NAME"


def build_own(config: Config) -> Network:
    """Call the user's function, with the configuration if it takes a parameter, and see what its network gives.

    Raises:
        ConfigError: it returns no network, or the network gives neither (B, C, h, w) nor (B, D).
    """
    name, size = config.MODEL.BACKBONE.NAME, config.INPUT.SIZE_TRAIN
    builder = import_own(name, key=_KEY)
    takes_config = any(p.default is p.empty for p in inspect.signature(builder).parameters.values())
    module = builder(config) if takes_config else builder()
    if not isinstance(module, nn.Module):
        raise ConfigError([f"{_KEY} {name} returned a {type(module).__name__}; expected a torch.nn.Module."])
    output = try_out(module, size, name)
    if output.dim() not in (2, 4):
        raise ConfigError([f"{_KEY} {name} gives shape {tuple(output.shape)} for one image; expected (1, C, h, w) or (1, D)."])
    return Network(module, output.shape[1], gives_vectors=output.dim() == 2)
