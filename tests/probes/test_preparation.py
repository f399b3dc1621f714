import pytest
import torch

from unplateau.probes.preparation import preparation

from .reading import value

CHANNEL_MEANS = torch.tensor([0.5, 0.0, -0.8])[:, None, None]


def images(seed, scale=1.0, shift=0.0):
    drawn = torch.randn(40, 3, 8, 6, generator=torch.Generator().manual_seed(seed))
    return (drawn + CHANNEL_MEANS) * scale + shift


def test_images_prepared_alike_agree():
    found = preparation(images(0), images(1))
    assert value(found, "preparation_mean_difference") < 0.1
    assert value(found, "preparation_std_ratio") == pytest.approx(1.0, abs=0.1)
    assert value(found, "colour_distance") < 0.1 < value(found, "colour_distance_swapped")


def test_another_scale_and_offset_are_seen():
    found = preparation(images(0), images(1, scale=0.2, shift=3.0))
    assert value(found, "preparation_std_ratio") == pytest.approx(0.2, abs=0.02)
    assert value(found, "preparation_mean_difference") > 2.0


def test_swapped_channels_agree_once_they_are_swapped_back():
    found = preparation(images(0), images(1).flip(1))
    assert value(found, "colour_distance_swapped") < 0.1 < value(found, "colour_distance")


def test_distances_are_those_of_plain_sums():
    a, b = images(0)[:2], images(1)[:2]

    def moments(batch):
        rows = [[*(float(v) for v in pixel), 1.0] for image in batch for pixel in image.flatten(1).T]
        return [[sum(row[i] * row[j] for row in rows) / len(rows) for j in range(4)] for i in range(4)]

    mine, theirs = moments(a), moments(b)
    apart = sum((mine[i][j] - theirs[i][j]) ** 2 for i in range(4) for j in range(4)) ** 0.5
    size = sum(mine[i][j] ** 2 for i in range(4) for j in range(4)) ** 0.5
    assert value(preparation(a, b), "colour_distance") == pytest.approx(apart / size, rel=1e-5)
