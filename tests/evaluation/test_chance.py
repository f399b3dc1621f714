"""The mAP of a random ranking, in closed form."""

import numpy as np
import pytest

from unplateau.evaluation import chance_average_precision


def test_chance_average_precision_is_that_of_shuffled_rankings() -> None:
    generator = np.random.default_rng(3)
    precisions = []
    for _ in range(4000):
        ranks = np.sort(generator.permutation(30)[:4]) + 1
        precisions.append(np.mean(np.arange(1, 5) / ranks))
    assert chance_average_precision(4, 30)[0] == pytest.approx(np.mean(precisions), abs=0.006)


def test_a_gallery_of_right_answers_scores_one_and_market1501s_size_next_to_nothing() -> None:
    assert chance_average_precision(3, 3)[0] == 1.0
    assert round(float(chance_average_precision(15, 15913)[0]), 4) == 0.0015
