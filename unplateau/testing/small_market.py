"""A Market-1501 of a few hundred drawn images of 32 x 16 pixels, and a recipe that trains on it in a second or two.

Unlike `tiny_problem` these are real files, so that a whole run can be tried: data, loaders, loop, run folder, resuming.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from unplateau.runs.layout import RunFolder
from unplateau.workflows.training.request import TrainOutcome, TrainRequest
from unplateau.workflows.training.train import run_training

HEIGHT, WIDTH = 32, 16
TRAIN_IDENTITIES, TEST_IDENTITIES, IMAGES_EACH = 24, 6, 6
_CAMERAS = 3
_RECIPE = """\
MODEL:
  DEVICE: cpu
  BACKBONE: {{NAME: "unplateau.testing.tiny_problem:tiny_backbone"}}
  HEADS: {{WITH_BNNECK: true}}
  LOSSES: {{NAME: [CrossEntropyLoss, TripletLoss], TRI: {{HARD_MINING: true}}}}
INPUT: {{SIZE_TRAIN: [{height}, {width}], SIZE_TEST: [{height}, {width}], FLIP: {{ENABLED: true}}}}
DATASETS: {{NAMES: [Market1501], TESTS: [Market1501], ROOT: "{root}"}}
DATALOADER: {{SAMPLER_TRAIN: NaiveIdentitySampler, NUM_INSTANCE: 4, NUM_WORKERS: 0, CACHE_DIR: "{cache}"}}
SOLVER: {{IMS_PER_BATCH: 16, MAX_EPOCH: 3, BASE_LR: 0.005, WARMUP_ITERS: 4, STEPS: [2]}}
VALIDATION: {{HELD_OUT: 0.25, MIN_IDENTITIES: 6}}
OUTPUT_DIR: "{output}"
"""


def draw_market(root: Path, *, train_identities: int = TRAIN_IDENTITIES, seed: int = 0) -> Path:
    """Draw `Market-1501-v15.09.15` below `root` and return its folder: every identity a pattern, every camera a tint."""
    rng = np.random.default_rng(seed)
    folder = root / "Market-1501-v15.09.15"
    tints_K3 = rng.normal(0, 12, (_CAMERAS, 3))
    for person in range(1, train_identities + TEST_IDENTITIES + 1):
        pattern_HW3 = np.kron(rng.integers(80, 176, (8, 4, 3)), np.ones((HEIGHT // 8, WIDTH // 4, 1)))
        for number in range(IMAGES_EACH):
            camera = number % _CAMERAS
            part = "bounding_box_train" if person <= train_identities else "query" if number == 0 else "bounding_box_test"
            pixels_HW3 = pattern_HW3 + tints_K3[camera] + rng.normal(0, 45, pattern_HW3.shape)
            _save(pixels_HW3, folder / part / f"{person:04d}_c{camera + 1}s1_{number:06d}_00.jpg")
    return folder


def _save(pixels_HW3: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels_HW3.clip(0, 255).astype(np.uint8)).save(path, quality=95)


@dataclass(frozen=True)
class Lab:
    """A place for tiny runs: drawn data, a recipe on it, and a folder for the runs."""

    root: Path
    """The folder that holds the data sets."""
    place: Path
    """Where recipe and runs go."""
    cache: Path

    @property
    def recipe(self) -> Path:
        """The configuration file, written on first use."""
        path = self.place / "recipe.yml"
        if not path.exists():
            self.place.mkdir(parents=True, exist_ok=True)
            folders = {"root": self.root.as_posix(), "cache": self.cache.as_posix(), "output": (self.place / "logs").as_posix()}
            path.write_text(_RECIPE.format(height=HEIGHT, width=WIDTH, **folders), encoding="utf-8")
        return path

    def request(self, name: str, overrides: str = "", **options: bool) -> TrainRequest:
        """Return a request for a run; `overrides` is "KEY VALUE KEY VALUE"."""
        return TrainRequest(self.recipe, name, tuple(overrides.split()), is_quiet=True, **options)  # type: ignore[arg-type]

    def train(self, name: str, overrides: str = "", **options: bool) -> TrainOutcome:
        """Run it."""
        return run_training(self.request(name, overrides, **options))

    def folder(self, name: str) -> RunFolder:
        """Return the folder of a run."""
        return RunFolder(self.place / "logs" / name)


def same_tensors(first: Path, second: Path) -> bool:
    """Return whether two model files hold the same weights and buffers to the bit."""
    states = [torch.load(path, weights_only=True)["model"] for path in (first, second)]
    return states[0].keys() == states[1].keys() and all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def without_times(epochs: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    """Return epoch records without the fields that no two runs share."""
    times = {"train_seconds", "validation_seconds", "images_per_second"}
    return [{name: value for name, value in epoch.items() if name not in times} for epoch in epochs]
