"""What can be asked of a search. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from unplateau.base.addresses import without_password
from unplateau.workflows.training.request import command_line

OUTPUT_DIR = Path("logs") / "hyperparameter_search"
MOST_TRIALS = 40
"""Where no budget is given."""


@dataclass(frozen=True)
class Workers:
    """Where trials run, and how many at a time."""

    executor: str = "local"
    """local, ray or slurm."""
    count: int | None = None
    """Trials at the same time; None = what the machine or the cluster holds."""
    per_gpu: int = 1
    """local: trials that share a GPU."""
    cpus: float = 1.0
    """ray: cores of a trial."""
    gpus: float = 0.0
    """ray: GPUs of a trial."""
    address: str | None = None
    """ray: of the cluster; None = $RAY_ADDRESS, else this machine alone."""
    options: tuple[tuple[str, str], ...] = ()
    """slurm: what sbatch is told, by submitit's names."""

    @property
    def words(self) -> tuple[str, ...]:
        """The words of a command line that ask for these."""
        words = [word for name, value in self.options for word in ("--slurm", f"{name}={value}")]
        for flag, value, usual in (
            ("--executor", self.executor, "local"),
            ("--workers", self.count, None),
            ("--per-gpu", self.per_gpu, 1),
            ("--trial-cpus", self.cpus, 1.0),
            ("--trial-gpus", self.gpus, 0.0),
            ("--ray-address", self.address, None),
        ):
            words += [flag, str(value)] if value != usual else []
        return tuple(words)


@dataclass(frozen=True)
class SearchRequest:
    """A command line of the search."""

    base_config: Path
    output_dir: Path = OUTPUT_DIR
    overrides: tuple[str, ...] = ()
    """KEY VALUE pairs for every trial."""
    space: Path | None = None
    """A space file; None = the default space."""
    sampler: str = "tpe"
    seed: int = 0
    """Of the sampler; that of the trainings is SEED."""
    max_trials: int | None = None
    budget_epochs: int | None = None
    hours: float | None = None
    keep: int = 3
    """Pruning: one trial in so many goes on at the end of a rung."""
    first_rung: int | None = None
    """Pruning: epochs before the first comparison; None = by `halving.make_rungs`."""
    is_pruned: bool = True
    workers: Workers = field(default_factory=Workers)
    storage: str | None = None
    """An Optuna storage URL; None = SQLite in the output folder."""
    study_name: str = ""
    """In the storage; empty = the output folder's name."""
    score_test: bool = True
    is_quiet: bool = False

    @property
    def trials_limit(self) -> int | None:
        """How many trials at most; with another budget and no number there is no limit."""
        has_other = self.budget_epochs is not None or self.hours is not None
        return self.max_trials if self.max_trials is not None or has_other else MOST_TRIALS

    @property
    def command(self) -> str:
        """The command line that goes on with this, all that was asked for included; budgets and workers can be changed."""
        words = ["python", "find_best_model.py", "--base-config", str(self.base_config), "--output-dir", str(self.output_dir)]
        for flag, value, usual in (
            ("--space", self.space, None),
            ("--storage", without_password(self.storage) if self.storage else None, None),
            ("--study-name", self.study_name, ""),
            ("--sampler", self.sampler, "tpe"),
            ("--sampler-seed", self.seed, 0),
            ("--max-trials", self.max_trials, None),
            ("--budget-epochs", self.budget_epochs, None),
            ("--hours", self.hours, None),
            ("--keep", self.keep, 3),
            ("--first-rung", self.first_rung, None),
        ):
            words += [flag, str(value)] if value != usual else []
        words += [] if self.is_pruned else ["--no-pruning"]
        words += [] if self.score_test else ["--no-test"]
        return command_line([*words, *self.workers.words, *self.overrides])
