"""PlateauBench on a few drawn patterns, so that its tests need no MiniMarket and no minutes."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.plateaubench import experiment as experiments
from benchmarks.plateaubench import planning
from benchmarks.plateaubench.recipe import Pictures, Split, divide
from unplateau.data.items import Item


@pytest.fixture(autouse=True)
def drawn_patterns(monkeypatch):
    """16 identities to train on and 6 to look for, 6 images each from three cameras: patterns with noise."""
    rng = np.random.default_rng(0)
    items, pixels = [], []
    for person in range(1, 23):
        pattern = np.kron(rng.integers(60, 200, (3, 8, 4)), np.ones((1, 8, 8)))
        for number in range(6):
            items.append(Item(f"{person}-{number}.png", person, number % 3, "drawn"))
            pixels.append((pattern + rng.normal(0, 30, pattern.shape)).clip(0, 255).astype(np.uint8))
    query, gallery = divide([item for item in items if item.person_id > 16])
    split = Split(tuple(item for item in items if item.person_id <= 16), query, gallery)
    pictures = Pictures(torch.from_numpy(np.stack(pixels)), {item.path: row for row, item in enumerate(items)})
    monkeypatch.setattr(experiments, "load", lambda *_: (split, pictures))
    monkeypatch.setattr(planning, "load", lambda *_: (split, pictures))
