"""Resume checkpoints: written whole, checked by SHA-256, the last two kept. Plain tensors and data only.

Beside each lies the best model of its time: a run that goes on from it may train an epoch again, and off the CPU not to the
same bits, so a `best_model.pth` of that epoch would be of a training that never was. Files and checksums: `checkpoint_files`.
"""

import logging
import pickle
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

import torch

from unplateau.base.archives import refuse_bomb
from unplateau.base.errors import CheckpointError
from unplateau.base.files import replacing, sha256_of, sync
from unplateau.config.schema import Config
from unplateau.engine.checkpoint_files import SCHEMA_VERSION, Saved, damage, keep_best, listed, write_list
from unplateau.engine.memory_plan import PLAIN
from unplateau.engine.parts import Parts
from unplateau.engine.stopping import Progress
from unplateau.optim.schedules import Schedule
from unplateau.runs.layout import RunFolder

_KEPT = 2
_CONTENT = {
    "epoch": int,
    "identity": dict,
    "model": dict,
    "losses": dict,
    "optimizers": list,
    "average": dict | None,
    "scaler": dict | None,
    "schedule": dict,
    "progress": dict,
}
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
        with ThreadPoolExecutor(1) as beside:  # copies and checksums beside what waits for the disk; all is done when it ends
            best = beside.submit(self._keep_best, progress)
            with replacing(path) as temporary:
                torch.save(_content(parts, progress, self._identity), temporary)
                checksum = beside.submit(sha256_of, temporary)
                sync(temporary)
                sha256 = checksum.result()
            entry = Saved(path.name, progress.epoch, sha256, *best.result())
        write_list(folder, [*[old for old in listed(folder) if old.epoch < progress.epoch][-(_KEPT - 1) :], entry])

    def _keep_best(self, progress: Progress) -> tuple[str, str]:
        if progress.best_epoch is None or not self._folder.best_model.exists():
            return "", ""
        return keep_best(self._folder, progress.best_epoch, is_new=progress.best_epoch == progress.epoch)


def has_checkpoint(folder: RunFolder) -> bool:
    """Return whether at least one epoch of the run was completed and saved."""
    return bool(listed(folder))


def last_saved_epoch(folder: RunFolder) -> int:
    """Return the epoch after which the run can go on; 0 where nothing is saved."""
    return max((entry.epoch for entry in listed(folder)), default=0)


def load_checkpoint(folder: RunFolder, *, recorded: Collection[int] | None = None) -> dict[str, Any]:
    """Return the newest checkpoint whose checksum is right; a damaged one is said and the one before it is used.

    Args:
        folder: of the run.
        recorded: the epochs its records hold. A checkpoint after an epoch that they lack is left for the one before it,
            if there is one: then that epoch is trained, and recorded, again.

    Raises:
        CheckpointError: there is none, none is whole, or what is there is no checkpoint.
    """
    entries, incomplete = listed(folder), []
    for entry in reversed(entries):
        if problem := damage(folder, entry):
            _log.warning("%s is %s; trying the checkpoint before it.", entry.file, problem)
        elif recorded is not None and not set(range(1, entry.epoch + 1)) <= set(recorded):
            incomplete.append(entry)
        else:
            return _read(folder, entry)
    if incomplete:
        _log.warning("%s lacks epochs, and no checkpoint is from before them: the record stays incomplete.", folder.metrics.name)
        return _read(folder, incomplete[0])
    raise CheckpointError(
        f"{folder.checkpoints} holds no whole checkpoint ({len(entries)} listed). The run cannot be continued; "
        "its best_model.pth is not touched. Start again under another --run-name."
    )


def _read(folder: RunFolder, entry: Saved) -> dict[str, Any]:
    path = folder.checkpoints / entry.file
    try:
        refuse_bomb(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} was not loaded: beside tensors it holds Python objects, and building them can run code. No checkpoint "
            f"of ours does. Do not trust this folder; start again under another --run-name. ({str(error).splitlines()[0]})"
        ) from error
    except Exception as error:  # a checksum that is right says that it was written so; torch raises what it likes
        raise CheckpointError(f"{path} is no checkpoint of ours: {error}. Start again under another --run-name.") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(name), kind) for name, kind in _CONTENT.items()):
        raise CheckpointError(f"{path} is no checkpoint of ours: expected {', '.join(_CONTENT)}. Use another --run-name.")
    return content


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
        if parts.average is not None and content["average"] is not None:
            parts.average.load_state_dict(content["average"])
        if parts.precision.scaler is not None and content["scaler"]:
            parts.precision.scaler.load_state_dict(content["scaler"])
        go_on_with_memory_plan(parts, content)
        schedule = Schedule.from_config(config, parts.train_loader.steps_per_epoch).restore(content["schedule"])
        plain = {**content["progress"], "drops_taken": tuple(content["progress"]["drops_taken"])}
        return replace(Progress(schedule), **plain)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise CheckpointError(f"The checkpoint of epoch {content.get('epoch')} does not fit this model: {problem}") from problem


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
