import statistics

import pytest
import torch

from unplateau.probes.noise_scale import noise_scale

from .reading import value

DIM, MEAN, STD = 50, 0.3, 2.0  # per-example gradients are N(MEAN, STD^2) in every component


def batches(count, size, seed):
    generator = torch.Generator().manual_seed(seed)
    return [[(MEAN + STD * torch.randn(size, DIM, generator=generator, dtype=torch.float64)).mean(0)] for _ in range(count)]


def test_known_noise_is_recovered_without_bias():
    found = [noise_scale(batches(8, 16, seed), batch_size=16) for seed in range(300)]
    square = statistics.fmean(value(one, "gradient_square") for one in found)
    variance = statistics.fmean(value(one, "gradient_variance") for one in found)
    assert square == pytest.approx(DIM * MEAN**2, rel=0.05)
    assert variance == pytest.approx(DIM * STD**2, rel=0.02)


def test_the_estimate_is_that_of_unbiased_sample_moments():
    given = batches(6, 16, seed=1)
    columns = list(zip(*(g[0].tolist() for g in given), strict=True))
    variance = 16 * sum(statistics.variance(column) for column in columns)
    square = sum(statistics.fmean(column) ** 2 for column in columns) - variance / (16 * 6)
    found = noise_scale(given, batch_size=16)
    assert value(found, "gradient_variance") == pytest.approx(variance)
    assert value(found, "gradient_square") == pytest.approx(square)
    assert value(found, "noise_scale") == pytest.approx(variance / square)


def test_identical_gradients_have_no_noise():
    found = noise_scale([[torch.ones(3)], [torch.ones(3)]], batch_size=4)
    assert value(found, "noise_scale") == pytest.approx(0.0)


def test_pure_noise_gives_no_scale_and_says_why():
    (scale,) = [m for m in noise_scale([[torch.ones(3)], [-torch.ones(3)]], batch_size=4) if m.name == "noise_scale"]
    assert scale.value is None and "told from 0" in scale.note
