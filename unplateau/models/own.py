"""A backbone of the user's own, named `package.module:function`, so that nobody has to fork."""

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from unplateau.base.errors import ConfigError
from unplateau.config.schema import Config
from unplateau.models.network import Network, try_out

_KEY = "MODEL.BACKBONE.NAME"


def find_builder(name: str) -> Callable[..., Any]:
    """Import the function that `package.module:function` names; modules beside the working directory are found too.

    Raises:
        ConfigError: the module or the function is not there, or the module fails while it is imported.
    """
    module_name, _, function_name = name.partition(":")
    try:
        with _working_directory_importable():
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError([_not_found(name, error)]) from error
    except Exception as error:  # noqa: BLE001 - whatever the user's module raises, the message says where
        where = traceback.extract_tb(error.__traceback__)[-1]
        raise ConfigError([
            f"{_KEY} {name}: importing {module_name} failed at {where.filename}:{where.lineno}: {type(error).__name__}: {error}"
        ]) from error  # fmt: skip
    function = getattr(module, function_name, None)
    if not callable(function):
        own = (key for key, value in vars(module).items() if getattr(value, "__module__", "") == module_name and callable(value))
        public = ", ".join(sorted(key for key in own if not key.startswith("_")))
        raise ConfigError([f"{_KEY} {name}: {module_name} has no function {function_name!r}. It has {public or 'none'}."])
    return function


def build_own(config: Config) -> Network:
    """Call the user's function, with the configuration if it takes a parameter, and see what its network gives.

    Raises:
        ConfigError: it returns no network, or the network gives neither (B, C, h, w) nor (B, D).
    """
    name, size = config.MODEL.BACKBONE.NAME, config.INPUT.SIZE_TRAIN
    builder = find_builder(name)
    takes_config = any(p.default is p.empty for p in inspect.signature(builder).parameters.values())
    module = builder(config) if takes_config else builder()
    if not isinstance(module, nn.Module):
        raise ConfigError([f"{_KEY} {name} returned a {type(module).__name__}; expected a torch.nn.Module."])
    output = try_out(module, size, name)
    if output.dim() not in (2, 4):
        raise ConfigError([f"{_KEY} {name} gives shape {tuple(output.shape)} for one image; expected (1, C, h, w) or (1, D)."])
    return Network(module, output.shape[1], gives_vectors=output.dim() == 2)


def _not_found(name: str, error: ModuleNotFoundError) -> str:
    module_name = name.partition(":")[0]
    if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
        return f"{_KEY} {name}: no module {error.name!r}. It was looked for in {Path.cwd()} and among the installed packages."
    return f"{_KEY} {name}: {module_name} needs the package {error.name!r}, which is not installed."


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    folder = str(Path.cwd())  # the installed command, unlike `python script.py`, does not look here
    is_new = folder not in sys.path
    if is_new:
        sys.path.append(folder)
    try:
        yield
    finally:
        if is_new and folder in sys.path:
            sys.path.remove(folder)
