"""Extraction keeps order and precision, averages mirror images, and leaves no gradient behind."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from unplateau.base.errors import DataError
from unplateau.evaluation.extract import extract


def batches(num_images: int = 10, batch_size: int = 4) -> Iterator[tuple[Tensor, Tensor, list[int]]]:
    images = torch.rand(num_images, 3, 4, 2, generator=torch.Generator().manual_seed(0))
    for start in range(0, num_images, batch_size):
        part = images[start : start + batch_size]
        yield part, torch.arange(start, start + len(part)), [7] * len(part)


def left_column(images_BCHW: Tensor, camera_ids_B: Tensor) -> Tensor:
    return images_BCHW[..., 0].flatten(1) + camera_ids_B[:, None]


def test_images_keep_their_order_and_ids() -> None:
    embedded = extract(left_column, batches(), flip=False)
    expected = torch.cat([part[..., 0].flatten(1) for part, _, _ in batches()]) + 7
    np.testing.assert_array_equal(embedded.features_ND, expected.numpy())
    assert embedded.person_ids_N.tolist() == list(range(10))
    assert embedded.camera_ids_N.tolist() == [7] * 10


def test_flip_averages_the_image_and_its_mirror_image() -> None:
    embedded = extract(left_column, batches(), flip=True)
    expected = torch.cat([part.mean(dim=3).flatten(1) for part, _, _ in batches()]) + 7
    np.testing.assert_allclose(embedded.features_ND, expected.numpy(), rtol=1e-6)


def test_embeddings_come_in_single_precision_whatever_they_were_computed_in() -> None:
    seen = []

    def linear(images_BCHW: Tensor, _: Tensor) -> Tensor:
        seen.append(images_BCHW.flatten(1) @ torch.eye(24))
        return seen[-1]

    embedded = extract(linear, batches(), flip=False, autocast=torch.bfloat16)
    assert {part.dtype for part in seen} == {torch.bfloat16}
    assert embedded.features_ND.dtype == np.float32


def test_nothing_is_kept_for_a_backward_pass() -> None:
    weight = torch.ones(24, 2, requires_grad=True)
    seen = []

    def linear(images_BCHW: Tensor, _: Tensor) -> Tensor:
        seen.append(images_BCHW.flatten(1) @ weight)
        return seen[-1]

    extract(linear, batches(), flip=False)
    assert not any(part.requires_grad for part in seen)


def test_no_images_are_refused() -> None:
    with pytest.raises(DataError, match="no images"):
        extract(left_column, iter(()), flip=False)
