"""Makes average precision with known parts: identities, recipes on identities, seeds, and what seeds do to identities."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Made:
    """Standard deviations, as shares of mAP."""

    identity: float = 0.15
    recipe_on_identity: float = 0.05
    seed: float = 0.01
    seed_on_identity: float = 0.10
    query: float = 0.10


def recipe(rng: np.random.Generator, difficulty_I: np.ndarray, persons_Q: np.ndarray, seeds: int, made: Made) -> np.ndarray:
    """Average precision of each seed on each query, (S, Q). `difficulty_I` is shared by the recipes that are compared."""
    count = len(difficulty_I)
    of_identity_SI = difficulty_I + rng.normal(0, made.recipe_on_identity, count) + rng.normal(0, made.seed, (seeds, 1))
    of_identity_SI = of_identity_SI + rng.normal(0, made.seed_on_identity, (seeds, count))
    return 0.5 + of_identity_SI[:, persons_Q] + rng.normal(0, made.query, (seeds, len(persons_Q)))
