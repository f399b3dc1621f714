"""Other programs' records of a run: TensorBoard and Weights & Biases. Off by default; both write into the run folder, offline.

Our own records do not depend on them, so what goes wrong here is logged and ends nothing.
"""

from __future__ import annotations

import importlib.util
import logging
from abc import ABC, abstractmethod
from typing import Any

from unplateau.base.errors import UsageError
from unplateau.config.delta import flatten
from unplateau.config.schema import Config
from unplateau.runs.layout import RunFolder
from unplateau.runs.record import EpochRecord

_log = logging.getLogger(__name__)

_PACKAGES = {"TENSORBOARD": "tensorboard", "WANDB": "wandb"}


class RunLogger(ABC):
    """Is told of every finished epoch."""

    @abstractmethod
    def epoch(self, record: EpochRecord) -> None:
        """Write an epoch's scalars at its number of steps."""

    @abstractmethod
    def close(self) -> None:
        """Write out what is held back."""


class TensorBoardLogger(RunLogger):
    """Event files in `tensorboard/` of the run folder: `tensorboard --logdir logs`."""

    def __init__(self, folder: RunFolder, *, first_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder.path / "tensorboard"), purge_step=first_step or None)

    def epoch(self, record: EpochRecord) -> None:
        for tag, value in scalars_of(record).items():
            self._writer.add_scalar(tag, value, record.steps)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class WandbLogger(RunLogger):
    """An offline run in `wandb/` of the run folder; `wandb sync` sends it, where one wants that."""

    def __init__(self, folder: RunFolder, config: Config) -> None:
        import wandb

        settings = wandb.Settings(mode="offline", console="off", save_code=False, disable_git=True, x_disable_stats=True)
        self._run = wandb.init(
            project="unplateau",
            name=folder.name,
            dir=str(folder.path),
            config=flatten(config),
            settings=settings,
            reinit="create_new",
        )

    def epoch(self, record: EpochRecord) -> None:
        self._run.log(scalars_of(record), step=record.steps)

    def close(self) -> None:
        self._run.finish()


class Loggers:
    """The loggers a configuration asks for. One that fails is logged once and left out from then on."""

    def __init__(self, loggers: list[RunLogger]) -> None:
        self._loggers = loggers

    def epoch(self, record: EpochRecord) -> None:
        """Tell each of a finished epoch."""
        for logger in tuple(self._loggers):
            try:
                logger.epoch(record)
            except Exception as problem:  # noqa: BLE001 - another program's record is never worth a training
                _log.warning("%s is left out from here on: %s", type(logger).__name__, problem)
                self._loggers.remove(logger)

    def close(self) -> None:
        """Close each."""
        for logger in self._loggers:
            try:
                logger.close()
            except Exception as problem:  # noqa: BLE001 - as above
                _log.warning("%s did not close: %s", type(logger).__name__, problem)
        self._loggers = []


def check_loggers(config: Config) -> None:
    """Refuse what is asked for and not installed.

    Raises:
        UsageError: with the line that installs it.
    """
    for key, package in _PACKAGES.items():
        if getattr(config.LOGGING, key) and importlib.util.find_spec(package) is None:
            raise UsageError(
                f"LOGGING.{key} is on, but {package} is not installed. Install it: pip install {package}; or LOGGING.{key} False."
            )


def open_loggers(config: Config, folder: RunFolder, *, first_step: int) -> Loggers:
    """Return the loggers that are asked for; one that cannot begin is logged and left out.

    Args:
        config: says which.
        folder: where they write.
        first_step: steps done before this part of the run; later entries of an earlier part do not count.
    """
    opened: list[RunLogger] = []
    makers: dict[str, Any] = {
        "TENSORBOARD": lambda: TensorBoardLogger(folder, first_step=first_step),
        "WANDB": lambda: WandbLogger(folder, config),
    }
    for key, make in makers.items():
        if not getattr(config.LOGGING, key):
            continue
        try:
            opened.append(make())
        except Exception as problem:  # noqa: BLE001 - as above
            _log.warning("LOGGING.%s is left out: %s: %s", key, type(problem).__name__, problem)
    return Loggers(opened)


def scalars_of(record: EpochRecord) -> dict[str, float]:
    """Return an epoch's numbers by tag; `epoch` counts from 0, as loggers do.

    >>> scalars_of(EpochRecord(2, 20, 1e-3, 7.0, {"triplet": 1.0}))
    {'epoch': 1, 'train/total_loss': 7.0, 'train/learning_rate': 0.001, 'train/triplet': 1.0}
    """
    found: dict[str, float | None] = {"epoch": record.epoch - 1, "train/total_loss": record.total_loss}
    found["train/learning_rate"] = record.learning_rate
    found |= {f"train/{name}": value for name, value in record.losses.items()}
    found["train/accuracy"] = record.accuracy
    found |= {f"measured/{name}": value for name, value in record.measurements.items()}
    if record.images_per_second:
        found["speed/images_per_second"] = record.images_per_second
    if record.validation is not None:
        place = record.validation.protocol
        found |= {f"{place}/mAP": record.validation.mAP, f"{place}/mINP": record.validation.mINP}
        found |= {f"{place}/rank{rank}": rate for rank, rate in record.validation.cmc.items()}
    return {tag: value for tag, value in found.items() if value is not None}
