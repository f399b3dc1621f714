"""Counting scores against thresholds equals counting one by one, on both ways and at the edges of the tiles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unplateau.evaluation import counting
from unplateau.evaluation.counting import count_at_least


def plainly(scores_BG: np.ndarray, thresholds_of: list[np.ndarray]) -> list[list[int]]:
    return [[int(sum(s >= t for s in scores_G)) for t in ts] for scores_G, ts in zip(scores_BG, thresholds_of, strict=True)]


@given(st.integers(0, 2**32 - 1), st.integers(1, 70), st.integers(1, 40), st.booleans())
def test_counts_are_those_of_counting_one_by_one(seed: int, num_scores: int, num_thresholds: int, is_coarse: bool) -> None:
    rng = np.random.default_rng(seed)
    scores_BG = rng.standard_normal((2, num_scores)).astype(np.float32)
    if is_coarse:  # ties
        scores_BG = scores_BG.round()
    scores_BG[:, rng.integers(num_scores)] = -np.inf
    thresholds_of = [np.sort(rng.choice(scores_BG[row], num_thresholds)) for row in (0, 1)]
    counts = count_at_least(scores_BG, thresholds_of, range(2))
    assert [one.tolist() for one in counts] == plainly(scores_BG, thresholds_of)


@pytest.mark.parametrize("num_scores", [counting._SCORES_AT_ONCE + extra for extra in (-1, 0, 1, 17)])
def test_scores_and_thresholds_over_several_tiles_are_all_counted(num_scores: int) -> None:
    rng = np.random.default_rng(0)
    scores_BG = rng.standard_normal((1, num_scores)).astype(np.float32)
    thresholds_R = np.sort(scores_BG[0, : counting._THRESHOLDS_AT_ONCE + 3])
    (counts_R,) = count_at_least(scores_BG, [thresholds_R], range(1))
    assert counts_R.tolist() == [np.count_nonzero(scores_BG[0] >= one) for one in thresholds_R]


def test_a_score_like_all_others_counts_them_all() -> None:
    scores_BG = np.full((1, 5000), 0.5, np.float32)  # more than a byte holds
    (counts_R,) = count_at_least(scores_BG, [np.full(3, 0.5, np.float32)], range(1))
    assert counts_R.tolist() == [5000, 5000, 5000]
