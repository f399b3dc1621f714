"""The files in a run's `checkpoints/`: the list of them, their checksums, which are whole. What is in them: `checkpoint`."""

import logging
import shutil
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unplateau.base.files import read_json, remove, replacing, sha256_of, write_json
from unplateau.runs.layout import RunFolder

SCHEMA_VERSION = 1
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Saved:
    """One checkpoint as the manifest lists it. A checksum is SHA-256 in hexadecimal; empty = it is not known."""

    file: str
    epoch: int
    sha256: str = ""
    best: str = ""
    """The best model of its time, a file beside it; empty = nothing was validated yet."""
    best_sha256: str = ""


def listed(folder: RunFolder) -> list[Saved]:
    """Return the checkpoints of a run, oldest first; where the manifest cannot be read, those found on disk."""
    try:
        entries = [_saved(entry) for entry in read_json(folder.checkpoint_manifest)["checkpoints"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError):
        _log.warning("%s cannot be read; looking at the checkpoint files themselves.", folder.checkpoint_manifest.name)
        return _found_on_disk(folder)
    return sorted(entries, key=lambda entry: entry.epoch)


def write_list(folder: RunFolder, entries: list[Saved]) -> None:
    """Write the manifest, and remove the files it does not name."""
    plain = [{name: value for name, value in asdict(entry).items() if value != ""} for entry in entries]
    write_json(folder.checkpoint_manifest, {"schema": SCHEMA_VERSION, "checkpoints": plain})
    named = {name for entry in entries for name in (entry.file, entry.best)}
    for file in (*folder.checkpoints.glob("epoch_*.pth"), *folder.checkpoints.glob("best_*.pth")):
        if file.name not in named:
            _remove_old(file)


def keep_best(folder: RunFolder, best_epoch: int, *, is_new: bool) -> tuple[str, str]:
    """Keep a copy of `best_model.pth` beside the checkpoint; return its name and checksum.

    A copy and no link: a block of the disk that goes bad then spoils one of them, and the other takes its place.

    Args:
        folder: of the run.
        best_epoch: the epoch it is of.
        is_new: it was written in this epoch, so a copy of that name is of an earlier training of the epoch.
    """
    target = folder.best_of_checkpoint(best_epoch)
    known = next((entry for entry in reversed(listed(folder)) if entry.best == target.name and entry.best_sha256), None)
    if known is not None and not is_new and target.exists():
        return known.best, known.best_sha256
    with replacing(target) as temporary:
        shutil.copyfile(folder.best_model, temporary)
    return target.name, sha256_of(target)


def damage(folder: RunFolder, entry: Saved) -> str:
    """Return what is wrong with a checkpoint or with its best model; empty for nothing."""
    path = folder.checkpoints / entry.file
    if not path.exists():
        return "missing"
    if not _is_right(path, entry.sha256):
        return "damaged (its checksum is wrong)"
    if entry.best and whole_best(folder, entry) is None:
        return f"whole, but the best model of its time is not ({entry.best} and {folder.best_model.name}: wrong checksums)"
    return ""


def whole_best(folder: RunFolder, entry: Saved) -> Path | None:
    """Return a file with the best model of a checkpoint's time whose checksum is right: the copy, else `best_model.pth`."""
    copy = folder.checkpoints / entry.best
    try:
        if copy.exists() and _is_right(copy, entry.best_sha256):
            return copy
    except OSError:  # a name that no file can have: the list is damaged
        pass
    is_known = bool(entry.best_sha256) and folder.best_model.exists()
    return folder.best_model if is_known and sha256_of(folder.best_model) == entry.best_sha256 else None


def bring_back_best(folder: RunFolder, best_epoch: int | None) -> None:
    """Make `best_model.pth` that of the checkpoint a run goes on from, whose best epoch is `best_epoch`."""
    if best_epoch is None:
        return
    name = folder.best_of_checkpoint(best_epoch).name
    entry = next((entry for entry in reversed(listed(folder)) if entry.best == name), Saved("", 0, best=name))
    source = whole_best(folder, entry)
    if source is None or source == folder.best_model:
        return
    if folder.best_model.exists() and sha256_of(folder.best_model) == sha256_of(source):
        return
    with replacing(folder.best_model) as temporary:
        shutil.copyfile(source, temporary)
    _log.info("%s was put back from %s.", folder.best_model.name, source.name)


def _remove_old(file: Path) -> None:
    try:
        remove(file)
    except PermissionError:  # Windows: what lies there too long ends no training
        _log.info("%s is open in another program; it is removed with the next checkpoint.", file.name)


def _saved(plain: dict[str, Any]) -> Saved:
    """Raises ValueError, KeyError or TypeError: it is no entry of a manifest."""
    entry = Saved(**{name: plain[name] for name in ("file", "epoch", "sha256", "best", "best_sha256") if name in plain})
    texts = (entry.file, entry.sha256, entry.best, entry.best_sha256)
    if not all(isinstance(text, str) for text in texts) or entry.file != f"epoch_{entry.epoch:04d}.pth":
        raise ValueError(f"no checkpoint: {plain}")
    if Path(entry.best).name != entry.best:
        raise ValueError(f"{entry.best} is no file beside the manifest")
    return entry


def _found_on_disk(folder: RunFolder) -> list[Saved]:
    files = sorted(folder.checkpoints.glob("epoch_[0-9]*.pth"))
    numbered = [(file.name, file.stem.removeprefix("epoch_")) for file in files]
    return sorted((Saved(name, int(epoch)) for name, epoch in numbered if epoch.isdecimal()), key=lambda entry: entry.epoch)


def _is_right(path: Path, sha256: str) -> bool:
    """Whether a file has its checksum; without it the checksums within it are looked at."""
    return sha256_of(path) == sha256 if sha256 else _is_whole_archive(path)


def _is_whole_archive(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:  # torch.save writes a ZIP archive, with a checksum for each tensor
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError):
        return False
