"""Code of the user's own, named `package.module:name` in the configuration, so that nobody has to fork."""

import importlib
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unplateau.base.errors import ConfigError


def import_own(name: str, *, key: str) -> Callable[..., Any]:
    """Import what `package.module:name` names; modules beside the working directory are found too.

    Args:
        name: as the configuration has it.
        key: the configuration key it stands under, for the message.

    Raises:
        ConfigError: the module or the name is not there, is nothing to call, or the module fails while it is imported.
    """
    module_name, _, attribute = name.partition(":")
    try:
        with _working_directory_importable():
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError([f"{key} {name}: {_not_found(module_name, error)}"]) from error
    except Exception as error:  # noqa: BLE001 - whatever the user's module raises, the message says where
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{where.filename}:{where.lineno}"
        problem = f"{type(error).__name__}: {error}"
        raise ConfigError([f"{key} {name}: importing {module_name} failed at {place}: {problem}"]) from error
    found = getattr(module, attribute, None)
    if not callable(found):
        public = ", ".join(_own_callables(vars(module), module_name)) or "none"
        raise ConfigError([f"{key} {name}: {module_name} has no function {attribute!r}. It has {public}."])
    return found


def _own_callables(members: dict[str, Any], module_name: str) -> list[str]:
    own = (name for name, value in members.items() if callable(value) and getattr(value, "__module__", "") == module_name)
    return sorted(name for name in own if not name.startswith("_"))


def _not_found(module_name: str, error: ModuleNotFoundError) -> str:
    if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
        return f"no module {error.name!r}. It was looked for in {Path.cwd()} and among the installed packages."
    return f"{module_name} needs the package {error.name!r}, which is not installed."


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
