"""Where a data set lies: the folder that holds all of them, and a data set's own folder in it. Reads no images."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from unplateau.base.errors import DataNotFoundError
from unplateau.config.schema import Config

ENVIRONMENT = ("FASTREID_DATASETS", "REID_DATA")
DEFAULT_ROOT = Path("datasets")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")


@dataclass(frozen=True)
class Place:
    """How a data set's folder is recognised.

    Attributes:
        name: the data set's name.
        folders: names its folder goes by, the official one first; compared without case, dots, dashes and underscores.
        markers: what must be in the folder; one of the alternatives is enough, each a set of names.
        source: where people get it, as the page is called.
    """

    name: str
    folders: tuple[str, ...]
    markers: tuple[tuple[str, ...], ...]
    source: str


def find_root(config: Config, environment: Mapping[str, str] | None = None) -> Path:
    """Return the folder that holds the data sets: DATASETS.ROOT, else $FASTREID_DATASETS, else $REID_DATA, else ./datasets.

    Args:
        config: the run's configuration.
        environment: instead of the process's own.

    Returns:
        The first of these that is set; whether it exists is found out when a data set is looked for.
    """
    values = os.environ if environment is None else environment
    named = [config.DATASETS.ROOT, *(values.get(key, "") for key in ENVIRONMENT)]
    return next((Path(value).expanduser() for value in named if value.strip()), DEFAULT_ROOT)


def locate(place: Place, root: Path) -> Path:
    """Return the folder of a data set: in `root` under one of its names, one folder deeper, or `root` itself.

    Raises:
        DataNotFoundError: it is nowhere there; the message lists every place looked at and what to do.
    """
    candidates = _candidates(place, root)
    for folder in candidates:
        if _is_it(folder, place):
            return folder
    raise DataNotFoundError(_not_found(place, root, candidates))


def _candidates(place: Place, root: Path) -> list[Path]:
    wanted = {_plain(name) for name in place.folders}
    present = [child for child in _children(root) if _plain(child.name) in wanted]
    deeper = [child for folder in present for child in _children(folder)]
    official = [root / name for name in place.folders]
    return list(dict.fromkeys([*present, *deeper, root, *official]))


def _children(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(child for child in folder.iterdir() if child.is_dir())


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_it(folder: Path, place: Place) -> bool:
    return any(all((folder / name).exists() for name in marker) for marker in place.markers)


def _not_found(place: Place, root: Path, candidates: list[Path]) -> str:
    official = place.folders[0]
    wanted = " or ".join(" + ".join(marker) for marker in place.markers)
    looked = "\n".join(f"    {folder.absolute()} ({_state(folder, place)})" for folder in candidates)
    return (
        f"{place.name} was not found. Looked for a folder with {wanted} at\n{looked}\n"
        f"{_packed(place, root)}"
        f"  To get it: {place.source}.\n"
        f"  To point to it: give the folder that holds {official}, either at the end of the command,\n"
        f"    DATASETS.ROOT /data/reid          (Windows: DATASETS.ROOT D:\\datasets\\reid)\n"
        f"    or in the environment, REID_DATA=/data/reid      (Windows: set REID_DATA=D:\\datasets\\reid)\n"
        f"    (now {_environment_now()})\n"
        "  No data at hand: --config-file custom_configs/minimarket_demo.yml draws its own small data set."
    )


def _state(folder: Path, place: Place) -> str:
    if not folder.exists():
        return "does not exist"
    if not folder.is_dir():
        return "is a file"
    missing = min(([name for name in marker if not (folder / name).exists()] for marker in place.markers), key=len)
    return f"is there, without {', '.join(missing)}"


def _packed(place: Place, root: Path) -> str:
    """Return a line on an archive that was never unpacked: the commonest reason of all."""
    if not root.is_dir():
        return ""
    wanted = tuple(_plain(name) for name in place.folders)
    files = sorted(child.name for child in root.iterdir() if child.suffix.lower() in _ARCHIVES)
    packed = [name for name in files if _plain(name).startswith(wanted)]
    return f"  There is an archive, {root.absolute() / packed[0]}: unpack it there.\n" if packed else ""


def _environment_now() -> str:
    return ", ".join(f"{key} is {os.environ[key]!r}" if os.environ.get(key) else f"{key} is not set" for key in ENVIRONMENT)
