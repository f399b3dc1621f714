"""Resume checkpoints: written whole, checked by SHA-256, the last two kept. Plain tensors and data only.

Beside each lies the best model of its time: a run that goes on from it may train an epoch again, and off the CPU not to the
same bits, so a `best_model.pth` of that epoch would be of a training that never was.
"""

import json
import logging
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from unplateau.base.errors import CheckpointError
from unplateau.base.files import read_json, replacing, same_content, sha256_of, write_json
from unplateau.config.schema import Config
from unplateau.engine.memory_plan import PLAIN
from unplateau.engine.parts import Parts
from unplateau.engine.stopping import Progress
from unplateau.optim.schedules import Schedule
from unplateau.runs.layout import RunFolder

SCHEMA_VERSION = 1
_KEPT = 2
_log = logging.getLogger(__name__)


class CheckpointStore:
    """The resume checkpoints of one run. The manifest is written last: a checkpoint it does not name does not exist."""

    def __init__(self, folder: RunFolder, *, identity: dict[str, Any]) -> None:
        """`identity` is what must be the same when the run goes on, such as the data's fingerprint."""
        self._folder = folder
        self._identity = identity

    def save(self, parts: Parts, progress: Progress) -> None:
        """Write the state after `progress.epoch`. Only the main process writes."""
        if not parts.ranks.is_main:
            return
        folder, path = self._folder, self._folder.checkpoint(progress.epoch)
        entry: dict[str, Any] = {"file": path.name, "epoch": progress.epoch}
        if progress.best_epoch is not None and folder.best_model.exists():
            same_content(folder.best_model, folder.best_of_checkpoint(progress.best_epoch))
            entry["best"] = folder.best_of_checkpoint(progress.best_epoch).name
        with replacing(path) as temporary:
            torch.save(_content(parts, progress, self._identity), temporary)
        entry["sha256"] = sha256_of(path)
        kept = [old for old in _manifest(folder) if old["epoch"] < progress.epoch][-(_KEPT - 1) :]
        write_json(folder.checkpoint_manifest, {"schema": SCHEMA_VERSION, "checkpoints": [*kept, entry]})
        _remove_others(folder, [*kept, entry])


def has_checkpoint(folder: RunFolder) -> bool:
    """Return whether at least one epoch of the run was completed and saved."""
    return bool(_manifest(folder))


def last_saved_epoch(folder: RunFolder) -> int:
    """Return the epoch after which the run can go on; 0 where nothing is saved."""
    return max((int(entry["epoch"]) for entry in _manifest(folder)), default=0)


def bring_back_best(folder: RunFolder, best_epoch: int | None) -> None:
    """Make `best_model.pth` that of the checkpoint a run goes on from, whose best epoch is `best_epoch`."""
    if best_epoch is not None and folder.best_of_checkpoint(best_epoch).exists():
        same_content(folder.best_of_checkpoint(best_epoch), folder.best_model)


def load_checkpoint(folder: RunFolder) -> dict[str, Any]:
    """Return the newest checkpoint whose checksum is right; a damaged one is said and the one before it is used.

    Raises:
        CheckpointError: there is none, or none is whole.
    """
    entries = _manifest(folder)
    for entry in reversed(entries):
        path = folder.checkpoints / Path(entry["file"]).name
        if damage := _damage(path, entry["sha256"]):
            _log.warning("%s is %s; trying the checkpoint before it.", path.name, damage)
        else:
            return dict(torch.load(path, map_location="cpu", weights_only=True))
    raise CheckpointError(
        f"{folder.checkpoints} holds no whole checkpoint ({len(entries)} listed). The run cannot be continued; "
        "its best_model.pth is not touched. Start again under another --run-name."
    )


def restore(parts: Parts, content: dict[str, Any], config: Config) -> Progress:
    """Put the checkpoint's state into `parts` and return where the run stood, with `config`'s schedule.

    Raises:
        CheckpointError: the state does not fit the parts.
    """
    try:
        parts.model.load_state_dict(content["model"])
        parts.losses.load_state_dict(content["losses"])
        for optimizer, state in zip(parts.optimizers, content["optimizers"], strict=True):
            _load_optimizer(optimizer, state)
    except (RuntimeError, ValueError, KeyError) as problem:
        raise CheckpointError(f"The checkpoint of epoch {content.get('epoch')} does not fit this model: {problem}") from problem
    if parts.average is not None and content["average"] is not None:
        parts.average.load_state_dict(content["average"])
    if parts.precision.scaler is not None and content["scaler"]:
        parts.precision.scaler.load_state_dict(content["scaler"])
    go_on_with_memory_plan(parts, content)
    schedule = Schedule.from_config(config, parts.train_loader.steps_per_epoch).restore(content["schedule"])
    plain = {**content["progress"], "drops_taken": tuple(content["progress"]["drops_taken"])}
    return replace(Progress(schedule), **plain)


def go_on_with_memory_plan(parts: Parts, content: dict[str, Any]) -> None:
    """Do steps as the checkpoint's run did in the end; checkpoints of before there were memory plans say nothing of it."""
    plan = content.get("memory_plan", {"name": PLAIN.name, "told": []})
    parts.memory.go_on_with(plan["name"], plan["told"])


def _load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load what the optimiser has gathered; its settings, such as weight decay, stay those of the configuration."""
    settings = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, own in zip(optimizer.param_groups, settings, strict=True):
        group.update(own)


def _content(parts: Parts, progress: Progress, identity: dict[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in asdict(replace(progress, schedule=None)).items() if name != "schedule"}  # type: ignore[arg-type]
    return {
        "schema": SCHEMA_VERSION,
        "epoch": progress.epoch,
        "identity": identity,
        "model": parts.model.state_dict(),
        "losses": parts.losses.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in parts.optimizers],
        "average": parts.average.state_dict() if parts.average is not None else None,
        "scaler": parts.precision.scaler.state_dict() if parts.precision.scaler is not None else None,
        "schedule": progress.schedule.to_plain(),
        "progress": {**plain, "drops_taken": list(progress.drops_taken)},
        "memory_plan": {"name": parts.memory.plan.name, "told": list(parts.memory.told)},
    }


def _manifest(folder: RunFolder) -> list[dict[str, Any]]:
    try:
        content = read_json(folder.checkpoint_manifest)
        return [entry for entry in content["checkpoints"] if {"file", "epoch", "sha256"} <= set(entry)]
    except FileNotFoundError:
        return []
    except (OSError, json.JSONDecodeError, KeyError, TypeError):
        _log.warning("%s cannot be read; looking at the checkpoint files themselves.", folder.checkpoint_manifest.name)
        return _found_on_disk(folder)


def _found_on_disk(folder: RunFolder) -> list[dict[str, Any]]:
    files = sorted(folder.checkpoints.glob("epoch_*.pth"))
    return [{"file": file.name, "epoch": int(file.stem.split("_")[1]), "sha256": ""} for file in files]


def _damage(path: Path, sha256: str) -> str:
    """Return what is wrong with a checkpoint; empty for nothing. Without its SHA-256 the checksums within it are looked at."""
    if not path.exists():
        return "missing"
    is_whole = sha256_of(path) == sha256 if sha256 else _is_whole_archive(path)
    return "" if is_whole else "damaged (its checksum is wrong)"


def _is_whole_archive(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:  # torch.save writes a ZIP archive, with a checksum for each tensor
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError):
        return False


def _remove_others(folder: RunFolder, entries: list[dict[str, Any]]) -> None:
    named = {entry[name] for entry in entries for name in ("file", "best") if name in entry}
    for file in (*folder.checkpoints.glob("epoch_*.pth"), *folder.checkpoints.glob("best_*.pth")):
        if file.name not in named:
            file.unlink(missing_ok=True)
