import math

import pytest
import torch

from unplateau.probes.inputs import difference_hash, inputs

from .reading import value


def images(count=6):
    return torch.randn(count, 3, 16, 12, generator=torch.Generator().manual_seed(0))


def test_channel_statistics_are_those_of_plain_sums():
    some = images()
    found = inputs(some)
    for channel in range(3):
        numbers = some[:, channel].double().flatten().tolist()
        mean = sum(numbers) / len(numbers)
        std = math.sqrt(sum((x - mean) ** 2 for x in numbers) / len(numbers))
        assert value(found, "channel_mean", f"channel {channel}") == pytest.approx(mean, abs=1e-6)
        assert value(found, "channel_std", f"channel {channel}") == pytest.approx(std, rel=1e-5)


def test_blank_images_are_counted_whatever_their_colour():
    some = images()
    some[0] = 0.0
    some[1] = torch.tensor([1.0, -2.0, 0.5])[:, None, None]
    assert value(inputs(some), "blank_images") == pytest.approx(2 / 6)


def test_duplicates_are_found_also_when_brighter():
    some = images()
    some[3] = some[0]
    some[4] = 1.1 * some[0]
    assert value(inputs(some), "duplicate_images") == pytest.approx(3 / 6)
    assert value(inputs(images()), "duplicate_images") == 0


def test_a_hash_is_the_sign_of_neighbouring_cells():
    ramp = torch.arange(18.0).expand(1, 3, 16, 18)
    assert difference_hash(ramp).all() and not difference_hash(-ramp).any()


def test_not_finite_pixels_are_counted():
    some = images()
    some[0, 0, 0, 0] = math.nan
    assert value(inputs(some), "inputs_finite") == pytest.approx(1 - 1 / some.numel())


def test_noise_is_told_from_pictures():
    coarse = torch.randn(6, 3, 4, 3, generator=torch.Generator().manual_seed(1))
    pictures = torch.nn.functional.interpolate(coarse, (16, 12), mode="bilinear")
    assert value(inputs(pictures), "noise_images") == 0
    assert value(inputs(torch.cat([pictures[:4], images(2)])), "noise_images") == pytest.approx(2 / 6)
    assert value(inputs(torch.zeros(6, 3, 16, 12)), "noise_images") == 0
