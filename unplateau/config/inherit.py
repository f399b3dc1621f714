"""A configuration file with everything it inherits: `_BASE_` names one file or several, relative to the file that names them."""

from dataclasses import dataclass
from pathlib import Path

from unplateau.config.build import canonical
from unplateau.config.entries import Entry
from unplateau.config.yaml_file import read_yaml

BASE_KEY = "_BASE_"
_DEEPEST = 10
_MOST_FILES = 50


@dataclass
class _Reading:
    """What goes along while files are followed."""

    problems: list[str]
    num_files: int = 0


def read_with_bases(path: Path, problems: list[str]) -> dict[str, Entry]:
    """Read a file and its bases; the file's own keys win over its bases', later bases over earlier ones.

    Args:
        path: the file.
        problems: is appended to: files that cannot be read, bases that go in a circle or too deep. What could be read is
            returned all the same, so that its problems are reported too.
    """
    return _read(path, (), _Reading(problems))


def _read(path: Path, chain: tuple[Path, ...], reading: _Reading) -> dict[str, Entry]:
    reading.num_files += 1
    own = canonical(read_yaml(path, reading.problems), reading.problems)
    base = own.pop(BASE_KEY, None)
    merged: dict[str, Entry] = {}
    for base_path in _base_paths(base, path, reading.problems):
        problem = _base_problem(base_path, (*chain, path), reading.num_files)
        if problem:
            reading.problems.append(f"{base.where if base else path}: {BASE_KEY} {problem}")
            continue
        merged |= _read(base_path, (*chain, path), reading)
    return merged | own


def _base_problem(base_path: Path, chain: tuple[Path, ...], num_files: int) -> str | None:
    if len(chain) >= _DEEPEST or num_files >= _MOST_FILES:
        return f"inherits more than {_DEEPEST} levels or {_MOST_FILES} files. Flatten the chain."
    if base_path.resolve() in [path.resolve() for path in chain]:
        return f"goes in a circle: {' -> '.join(map(str, (*chain, base_path)))}. Take one of them out."
    if not _is_file(base_path):
        return f"is {base_path}, which is not there. It is looked for beside the file; correct the path."
    return None


def _base_paths(base: Entry | None, path: Path, problems: list[str]) -> list[Path]:
    if base is None or base.raw in (None, ""):
        return []
    names = base.raw if isinstance(base.raw, list) else [base.raw]
    if all(isinstance(name, str) and name and "\0" not in name for name in names):
        return [_base_path(name, path) for name in names]
    problems.append(f"{base.where}: {BASE_KEY} is {base.shown}, expected a file or a list of files.")
    return []


def _base_path(name: str, path: Path) -> Path:
    beside = path.parent / _at_home(name)
    from_windows = path.parent / name.replace("\\", "/")
    return from_windows if not _is_file(beside) and _is_file(from_windows) else beside


def _at_home(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # no such user
        return Path(name)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than the system allows
        return False
