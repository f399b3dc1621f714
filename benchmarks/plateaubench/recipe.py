"""The small recipe every run of PlateauBench begins from, and its pictures at 64 x 32: MiniMarket, or another set (`data_sets`).

Shape legend: N images, C/H/W image.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.plateaubench.data_sets import DATA, STANDARD
from unplateau.config.delta import from_plain, with_values
from unplateau.config.schema import Config
from unplateau.data.find import find_items
from unplateau.data.image_source import open_images
from unplateau.data.items import Item

EPOCHS = 12
RECIPE: dict[str, Any] = {
    "MODEL": {
        "DEVICE": "cpu",
        "BACKBONE": {"NAME": "unplateau.models.tiny:build_tiny_backbone"},
        "HEADS": {"WITH_BNNECK": True},
        "LOSSES": {"NAME": ("CrossEntropyLoss", "TripletLoss"), "CE": {"EPSILON": 0.1}, "TRI": {"HARD_MINING": True}},
    },
    "INPUT": {"SIZE_TRAIN": (64, 32), "SIZE_TEST": (64, 32), "FLIP": {"ENABLED": True}, "PADDING": {"ENABLED": True, "SIZE": 3}},
    "DATASETS": {"NAMES": ("MiniMarket",), "TESTS": ("MiniMarket",)},
    "DATALOADER": {"SAMPLER_TRAIN": "NaiveIdentitySampler", "NUM_INSTANCE": 4, "NUM_WORKERS": 0},
    "SOLVER": {"IMS_PER_BATCH": 32, "MAX_EPOCH": EPOCHS, "BASE_LR": 2e-3, "WARMUP_ITERS": 20, "STEPS": (8,), "OPT": "Adam"},
    "VALIDATION": {"HELD_OUT": 0.3},
}  # fmt: skip


@dataclass(frozen=True)
class Pictures:
    """Decoded images, and where each lies."""

    pixels_NCHW: Tensor
    """uint8."""
    row_of_path: dict[str, int]

    def of(self, items: Sequence[Item]) -> Tensor:
        """Return a copy of the pixels of these items, uint8 (N, C, H, W)."""
        return self.pixels_NCHW[torch.tensor([self.row_of_path[item.path] for item in items])]


@dataclass(frozen=True)
class Split:
    """Who is trained on and who is looked for."""

    train: tuple[Item, ...]
    query: tuple[Item, ...]
    gallery: tuple[Item, ...]


def recipe(changes: dict[str, Any] | None = None, *, seed: int = 0) -> Config:
    """Return the recipe with some dotted keys changed."""
    return with_values(from_plain(RECIPE), {"SEED": seed, **(changes or {})})


def with_data(changes: dict[str, Any] | None, data: str) -> dict[str, Any]:
    """Return changes of the recipe with the names of a data set, where it is not the standard one."""
    names = {} if data == STANDARD else dict.fromkeys(("DATASETS.NAMES", "DATASETS.TESTS"), (DATA[data].name(),))
    return {**names, **(changes or {})}


@lru_cache
def load(data: str = STANDARD) -> tuple[Split, Pictures]:
    """Return the split and the pictures; both are the same for every seed, so that scores can be compared.

    Raises:
        DataNotFoundError: the data set is not there.
    """
    config, chosen = recipe(with_data(None, data)), DATA[data]
    items = chosen.items(find_items(config))
    persons = np.random.default_rng(0).permutation(sorted({item.person_id for item in items}))
    trained = set(persons[: chosen.num_trained].tolist())
    held = set(persons[chosen.num_trained : chosen.num_trained + chosen.num_held_out].tolist())
    kept = tuple(item for item in items if item.person_id in trained | held)
    query, gallery = divide([item for item in kept if item.person_id in held])
    split = Split(tuple(item for item in kept if item.person_id in trained), query, gallery)
    return split, decode(kept, config)


def decode(items: Sequence[Item], config: Config) -> Pictures:
    """Read all images at the training size."""
    source = open_images(items, config.INPUT.SIZE_TRAIN, config)
    paths = [item.path for item in items]
    (pixels_NHWC,) = source.batches([paths])
    return Pictures(pixels_NHWC.permute(0, 3, 1, 2).contiguous(), {path: row for row, path in enumerate(paths)})


def divide(items: Sequence[Item]) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Return (query, gallery): the first of several images of a person in a camera asks, everything else is looked through."""
    seen: set[tuple[int, int]] = set()
    counts = Counter((item.person_id, item.camera_id) for item in items)
    query, gallery = [], []
    for item in sorted(items, key=lambda item: (item.person_id, Path(item.path).name)):
        place = (item.person_id, item.camera_id)
        many = counts[place] > 1
        (query if many and place not in seen else gallery).append(item)
        seen.add(place)
    return tuple(query), tuple(gallery)
