"""When a training ends by itself: patience, all epochs done, target reached. Pure functions on plain values.

Why it ended, in words: `unplateau.diagnosis.advice`. Requests from outside: `requests`.
"""

from dataclasses import dataclass, replace

from unplateau.config.schema import Config
from unplateau.optim.schedules import Schedule

STOP_CODES = ("no-improvement", "completed", "target-reached", "paused")


@dataclass(frozen=True)
class Progress:
    """Where a training stands after `epoch` epochs. With the weights, all that resuming needs."""

    schedule: Schedule
    epoch: int = 0
    step: int = 0
    best_map: float | None = None
    best_epoch: int | None = None
    stale_epochs: int = 0
    """Epochs since the best one, or since patience began anew."""
    drops_taken: tuple[int, ...] = ()
    """Epochs after which a learning-rate drop was taken early."""

    def after(self, epoch: int, step: int, validation_map: float | None) -> "Progress":
        """Return the progress after one more epoch, with its validation mAP (None where it was not validated)."""
        moved = replace(self, epoch=epoch, step=step)
        if validation_map is not None and (self.best_map is None or validation_map > self.best_map):
            return replace(moved, best_map=validation_map, best_epoch=epoch, stale_epochs=0)
        return moved if self.best_map is None else replace(moved, stale_epochs=self.stale_epochs + 1)

    def with_patience_reset(self) -> "Progress":
        """Return the progress with a fresh patience, as when someone decides to go on."""
        return replace(self, stale_epochs=0)


def last_epoch(config: Config) -> int:
    """Return the epoch after which training ends, `MAX_EPOCH` or an earlier `STOP_EPOCH`."""
    return min(config.SOLVER.STOP_EPOCH or config.SOLVER.MAX_EPOCH, config.SOLVER.MAX_EPOCH)


def is_validated(config: Config, epoch: int) -> bool:
    """Return whether the model is scored after this epoch: every `TEST.EVAL_PERIOD` epochs, and after the last."""
    return epoch % config.TEST.EVAL_PERIOD == 0 or epoch == last_epoch(config)


def decide(config: Config, progress: Progress) -> str | None:
    """Return what the end of an epoch calls for: a code of `STOP_CODES`, "drop", or None to go on.

    Patience is counted in epochs and looked at after epochs that were validated: before a score nobody knows better.
    """
    solver = config.SOLVER
    if solver.TARGET_MAP and (progress.best_map or 0.0) >= solver.TARGET_MAP:
        return "target-reached"
    if progress.epoch >= solver.MAX_EPOCH:
        return "completed"
    if progress.epoch >= last_epoch(config):
        return "paused"
    if not solver.EARLY_STOP_PATIENCE or progress.stale_epochs < solver.EARLY_STOP_PATIENCE:
        return None
    if not is_validated(config, progress.epoch):
        return None
    if solver.ON_PLATEAU == "drop" and progress.schedule.drops_ahead(progress.step):
        return "drop"
    return "no-improvement"


def take_drop(progress: Progress) -> Progress:
    """Return the progress with the next learning-rate drop taken now and patience begun anew."""
    return replace(
        progress,
        schedule=progress.schedule.take_next_drop(progress.step),
        stale_epochs=0,
        drops_taken=(*progress.drops_taken, progress.epoch),
    )
