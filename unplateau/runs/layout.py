"""Where everything is in a run folder. The only file that knows these names."""

import re
from dataclasses import dataclass
from pathlib import Path

from unplateau.base.errors import UsageError

_NAME = re.compile(r"[^\W.][\w.+=-]{0,119}")
_RESERVED_ON_WINDOWS = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run, `OUTPUT_DIR/<run name>`."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def best_model(self) -> Path:
        return self.path / "best_model.pth"

    @property
    def final_model(self) -> Path:
        return self.path / "model_final.pth"

    @property
    def stopping_reason(self) -> Path:
        return self.path / "STOPPING_REASON.txt"

    @property
    def stop_record(self) -> Path:
        return self.path / "stop.json"

    @property
    def model_info(self) -> Path:
        return self.path / "model_info.json"

    @property
    def history(self) -> Path:
        return self.path / "training_history.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def probes(self) -> Path:
        return self.path / "probes.jsonl"

    @property
    def findings(self) -> Path:
        return self.path / "findings.json"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def config(self) -> Path:
        return self.path / "config.yml"

    @property
    def step_choice(self) -> Path:
        """In which number format and layout its steps are computed."""
        return self.path / "step_choice.json"

    @property
    def embed_choice(self) -> Path:
        """In which number format and layout its images are embedded for scoring."""
        return self.path / "embed_choice.json"

    @property
    def average_precision(self) -> Path:
        return self.path / "average_precision.npz"

    @property
    def rank_lists(self) -> Path:
        return self.path / "rank_lists.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def export(self) -> Path:
        return self.path / "export"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def checkpoint_manifest(self) -> Path:
        return self.checkpoints / "manifest.json"

    @property
    def room(self) -> Path:
        """Bytes kept free for the files of the end, should the disk fill up."""
        return self.path / ".room"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    def checkpoint(self, epoch: int) -> Path:
        return self.checkpoints / f"epoch_{epoch:04d}.pth"

    def best_of_checkpoint(self, best_epoch: int) -> Path:
        """The best model as a checkpoint knows it: `best_model.pth` may already be of an epoch that is trained again."""
        return self.checkpoints / f"best_{best_epoch:04d}.pth"


def run_folder(output_dir: Path, name: str) -> RunFolder:
    """Return the folder of run `name` below `output_dir`.

    Raises:
        UsageError: the name is empty, too long, leaves the folder, or is one Windows cannot have.
    """
    if not _NAME.fullmatch(name) or _RESERVED_ON_WINDOWS.fullmatch(name) or name.endswith("."):
        raise UsageError(
            f"--run-name {name!r} cannot be a folder name. Use 1 to 120 letters, digits and _ - + = . "
            "without a dot at either end, such as --run-name baseline_r50."
        )
    return RunFolder(output_dir / name)


def is_run_folder(path: Path) -> bool:
    """Return whether `path` looks like a folder a training of ours has begun."""
    folder = RunFolder(path)
    return folder.metrics.exists() or (folder.config.exists() and folder.log.exists())
