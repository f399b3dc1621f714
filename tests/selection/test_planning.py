"""The number of seeds advised does what it promises, on made seeds."""

import math

import numpy as np
import pytest

from unplateau.selection.crossed import Panel, Uncertain
from unplateau.selection.planning import SEED_DEVIATION, seeds_needed, seeds_to_see


@pytest.mark.parametrize("difference", [0.02, 0.03])
def test_with_the_seeds_advised_four_of_five_experiments_see_the_difference(difference: float) -> None:
    count, rng, seen = seeds_to_see(difference), np.random.default_rng(1), 0
    assert count is not None
    for _ in range(400):
        first_S1, second_S1 = (rng.normal(middle, SEED_DEVIATION, (count, 1)) for middle in (difference, 0.0))
        seen += not Panel(np.zeros(1, dtype=int)).difference(first_S1, second_S1).estimate().includes_zero
    assert 0.72 <= seen / 400 <= 0.93, (count, seen / 400)


def test_smaller_differences_and_noisier_seeds_take_more() -> None:
    def needed(value: float, seeds: float) -> int:
        return seeds_needed(Uncertain(value, 1e-6, 74, seeds, 4.0), (3, 3)) or 99

    assert needed(0.05, 1e-5) < needed(0.02, 1e-5) < needed(0.01, 1e-5)
    assert needed(0.02, 1e-6) < needed(0.02, 1e-5) < needed(0.02, 4e-5)


def test_no_number_of_seeds_helps_where_the_identities_are_too_few() -> None:
    assert seeds_needed(Uncertain(0.01, 0.01**2, 19, 1e-5, 4.0), (3, 3)) is None


@pytest.mark.parametrize("apart", [Uncertain(0.0, 1e-6, 74, 1e-5, 4.0), Uncertain(0.1, 1e-6, 74, 1e-5, 4.0, is_known=False)])
def test_without_a_difference_or_without_knowledge_no_number_is_given(apart: Uncertain) -> None:
    assert seeds_needed(apart, (3, 3)) is None


def test_very_unequal_seeds_leave_at_least_one_degree_of_freedom() -> None:
    count = seeds_needed(Uncertain(0.1, 0.0, math.inf, 1e-5, 1.0), (2, 9))
    assert count is not None and count >= 2
