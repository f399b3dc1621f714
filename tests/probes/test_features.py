import math

import numpy as np
import pytest
import torch

from unplateau.probes.features import effective_rank, features

from .reading import value


def oracle(matrix):
    squares = np.linalg.eigvalsh((matrix.T @ matrix).double().numpy()).clip(0)
    shares = [math.sqrt(x) for x in squares]
    shares = [s / sum(shares) for s in shares]
    return math.exp(-sum(s * math.log(s) for s in shares if s > 1e-12))


def test_effective_rank_is_the_exponential_of_the_entropy_of_singular_values():
    matrix = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    assert effective_rank(matrix) == pytest.approx(oracle(matrix), rel=1e-4)


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_equal_singular_values_give_their_number(rank):
    matrix = torch.zeros(16, 8)
    matrix[range(rank), range(rank)] = 5.0
    assert effective_rank(matrix) == pytest.approx(rank, rel=1e-3)


def test_scaling_features_does_not_change_the_rank():
    matrix = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    assert effective_rank(1000 * matrix) == pytest.approx(effective_rank(matrix), rel=1e-6)


def test_a_common_offset_hides_the_rank_unless_it_is_taken_out():
    matrix = 1000 + torch.randn(200, 16, generator=torch.Generator().manual_seed(0))
    found = features(matrix)
    assert value(found, "effective_rank") < 2 < 14 < value(found, "effective_rank_centred")


def test_collapsed_features_have_no_spread():
    found = features(torch.full((10, 4), 3.0))
    assert value(found, "feature_std") == 0 and value(found, "dead_dimensions") == 1
    assert value(found, "feature_length") == pytest.approx(6.0) and value(found, "effective_rank_centred") == 0


def test_dimensions_that_never_change_are_counted():
    matrix = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    matrix[:, 1] = 0.25
    assert value(features(matrix), "dead_dimensions") == 0.25


def test_the_rank_counts_the_dimensions_that_features_really_vary_in():
    generator = torch.Generator().manual_seed(0)
    tiled = torch.randn(64, 5, generator=generator).repeat(1, 4) + 7.0
    assert value(features(tiled), "feature_rank") == 5
    assert value(features(torch.randn(64, 20, generator=generator)), "feature_rank") == 20
    assert value(features(torch.zeros(8, 4)), "feature_rank") == 0
