"""Embedding where a batch does not fit."""

import logging

import pytest
import torch
from torch import Tensor

from unplateau.engine.smaller_batches import SmallerBatches
from unplateau.testing.memory_limit import MemoryLimit


def _embed(images_BCHW: Tensor, camera_ids_B: Tensor) -> Tensor:
    wide = images_BCHW.flatten(1).repeat(1, 50)
    return wide[:, :5] + camera_ids_B[:, None]


def test_what_fits_is_embedded_at_once() -> None:
    smaller, images, cameras = SmallerBatches(), torch.randn(10, 3, 4, 2), torch.arange(10)
    assert torch.equal(smaller.embed(_embed, images, cameras), _embed(images, cameras))
    assert smaller.most_images is None


def test_what_does_not_fit_is_halved_until_it_does_and_that_is_remembered(caplog: pytest.LogCaptureFixture) -> None:
    smaller, images, cameras = SmallerBatches(), torch.randn(11, 3, 4, 2), torch.arange(11)
    expected = _embed(images, cameras)
    bytes_an_image = 24 * 50 * 4
    with caplog.at_level(logging.WARNING), MemoryLimit(3 * bytes_an_image, [images, cameras]) as card:
        assert torch.equal(smaller.embed(_embed, images, cameras), expected)
        assert (card.num_failures, smaller.most_images) == (2, 2)  # 11, 5, 2
        assert torch.equal(smaller.embed(_embed, images[:7], cameras[:7]), expected[:7])
        assert card.num_failures == 2
    assert len(caplog.records) == 2 and "2 at a time from now on" in caplog.records[-1].getMessage()


def test_one_image_that_does_not_fit_is_the_error_itself() -> None:
    smaller, images, cameras = SmallerBatches(), torch.randn(4, 3, 4, 2), torch.arange(4)
    with MemoryLimit(100, [images, cameras]) as card, pytest.raises(torch.OutOfMemoryError):
        smaller.embed(_embed, images, cameras)
    assert card.num_failures == 3


def test_other_errors_pass() -> None:
    def fail(images_BCHW: Tensor, camera_ids_B: Tensor) -> Tensor:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        SmallerBatches().embed(fail, torch.randn(4, 3, 4, 2), torch.arange(4))
