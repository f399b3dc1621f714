"""Whether a run begins, goes on, or is already done: what the run folder says against what was asked for."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unplateau.base.errors import ConfigError, RunExistsError, UsageError
from unplateau.base.files import replacing
from unplateau.config.delta import difference
from unplateau.config.load import Loaded, load
from unplateau.config.recipe import CONTINUING_KEYS, HARMLESS_KEYS
from unplateau.config.schema import Config
from unplateau.engine.checkpoint import has_checkpoint, load_checkpoint
from unplateau.engine.model_file import config_in
from unplateau.runs.layout import RunFolder, run_folder
from unplateau.runs.reader import find_runs, is_running, read_run, read_stop
from unplateau.workflows.training.killed import write_killed
from unplateau.workflows.training.request import TrainRequest
from unplateau.workflows.training.set_aside import set_aside

_log = logging.getLogger(__name__)

# Keys that say how an epoch is scored. Changed, the best epoch would be chosen among scores that do not compare, or on
# identities that were trained on; so they cannot even be forced.
SCORING_KEYS = (
    "VALIDATION.HELD_OUT",
    "VALIDATION.MIN_IDENTITIES",
    "VALIDATION.SEED",
    "VALIDATION.ON_TEST",
    "TEST.METRIC",
    "TEST.FLIP.ENABLED",
    "INPUT.SIZE_TEST",
)
_FINAL_CODES = ("no-improvement", "completed", "target-reached", "paused")


@dataclass(frozen=True)
class Start:
    """How a run starts: afresh, from a checkpoint, or not at all because it is done."""

    config: Config
    folder: RunFolder
    notes: tuple[str, ...]
    checkpoint: dict[str, Any] | None = None
    is_done: bool = False
    changed: tuple[str, ...] = ()
    """Keys that differ from the stored run, all of them allowed."""


def read_config(request: TrainRequest) -> Loaded:
    """Return the configuration that was asked for, or the stored one of the run that goes on.

    Raises:
        ConfigError: it has problems.
    """
    return load(request.config_file or _stored_config(request), request.overrides)


def decide_start(request: TrainRequest, loaded: Loaded) -> Start:
    """Look at the run folder and decide. On several processes this is the main one's part.

    Raises:
        ConfigError: the configuration differs from the stored run's in a way that was not allowed.
        RunExistsError: the name is taken and `--resume` was not given.
        UsageError: there is nothing to resume, or another process trains into the folder.
    """
    folder = run_folder(output_dir(loaded.config), request.run_name)
    if is_running(folder):
        raise UsageError(f"{folder.path} is being trained by another process. Wait for it, end it, or use another --run-name.")
    if request.restart:
        set_aside(folder.path)
    begun = has_checkpoint(folder)
    if begun:
        _put_back_config(folder)
    if begun and read_stop(folder) is None:
        write_killed(folder, request.command)
    if not begun:
        if request.resume and folder.config.exists():
            _log.warning("No epoch of this run was finished; it starts from the beginning.")
        elif request.resume:
            raise UsageError(
                f"--resume: {folder.path} holds no run. Leave --resume out to start it, or check --run-name and OUTPUT_DIR."
            )
        return Start(loaded.config, folder, loaded.notes)
    if not request.resume:
        raise RunExistsError(_choices(folder, request))
    return _resumed(request, loaded.config, folder, loaded.notes)


def _put_back_config(folder: RunFolder) -> None:
    """Where a run's configuration cannot be read any more, put back the copy that its best model holds.

    Raises:
        ConfigError: there is no such copy, or it cannot be read either.
    """
    try:
        load(folder.config)
    except ConfigError:
        copy = config_in(folder.best_model)
        if not copy:
            raise
        with replacing(folder.config) as temporary:
            temporary.write_text(copy, encoding="utf-8", newline="\n")
            load(temporary)
        _log.warning("%s could not be read; the copy of it in %s was put back.", folder.config, folder.best_model.name)


def output_dir(config: Config) -> Path:
    """Return the folder of run folders: OUTPUT_DIR, or logs/<first training set>."""
    if config.OUTPUT_DIR:
        return Path(config.OUTPUT_DIR).expanduser()
    name = config.DATASETS.NAMES[0]
    if ":" in name:
        kind, _, rest = name.partition(":")
        name = Path(rest).stem if kind.lower() in ("folder", "csv") else rest
    return Path("logs") / "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name.lower())


def _resumed(request: TrainRequest, config: Config, folder: RunFolder, notes: tuple[str, ...]) -> Start:
    changed = difference(load(folder.config).config, config)
    refused = {key: values for key, values in changed.items() if key not in (*CONTINUING_KEYS, *HARMLESS_KEYS)}
    never = [key for key in SCORING_KEYS if key in refused]
    if never or (refused and not request.allow_changes):
        raise ConfigError(
            [
                f"--resume: the configuration differs from the one {folder.path} was begun with:",
                *(f"  {key}: {old!r} when the run began, {new!r} now" for key, (old, new) in sorted(refused.items())),
                _ways_out(never),
            ]
        )
    continues = any(key in changed for key in (*CONTINUING_KEYS, *refused))
    reason = read_stop(folder)
    is_done = reason is not None and reason.code in _FINAL_CODES and not continues
    recorded = {epoch.epoch for epoch in read_run(folder.path).epochs}
    checkpoint = None if is_done else load_checkpoint(folder, recorded=recorded)
    return Start(config, folder, notes, checkpoint, is_done, tuple(sorted(changed)))


def _ways_out(never: list[str]) -> str:
    if not never:
        return "Resume with the old values, start under another --run-name, or force it with --allow-changes (it is recorded)."
    return (
        f"{', '.join(never)}: cannot be changed within a run, not even with --allow-changes, because the scores of its epochs "
        "would no longer compare. Resume with the old value, start under another --run-name, or score the finished model with "
        "--eval-only."
    )


def _choices(folder: RunFolder, request: TrainRequest) -> str:
    reason = read_stop(folder)
    state = f"It ended: {reason.headline}." if reason else "It was broken off."
    return (
        f"{folder.path} already holds a run. {state} Choose:\n"
        f"  go on with it:   {request.command} --resume\n"
        f"  another name:    --run-name {request.run_name}_2\n"
        f"  start it over, with this one kept under another name:\n"
        f"                   {request.command} --restart"
    )


def _stored_config(request: TrainRequest) -> Path | None:
    """Without --config-file, a resumed run uses its own stored configuration."""
    if not request.resume:
        return None
    found = [folder.config for folder in find_runs(Path("logs")) if folder.name == request.run_name and folder.config.exists()]
    if len(found) != 1:
        raise UsageError(
            f"--resume without --config-file needs exactly one run named {request.run_name} below logs/; "
            f"there are {len(found)}. Add --config-file F."
        )
    return found[0]
