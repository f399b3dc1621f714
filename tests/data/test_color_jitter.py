"""Colour jitter against torchvision's functions, one image at a time, with the same factors in the same order."""

import pytest
import torch
from torchvision.transforms.v2 import functional as F

from unplateau.config.schema import ColorJitter
from unplateau.data.color_jitter import JitterDraws, JitterRange, apply_jitter, draw_jitter

OPERATIONS = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)


def pixels_of(num_images: int) -> torch.Tensor:
    """Noise, one grey image, one black, one white: grey has no hue, black no chroma."""
    pixels = torch.randint(0, 256, (num_images, 24, 12, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels[0] = pixels[0, :, :, :1]
    pixels[1], pixels[2] = 0, 255
    return pixels


def one_at_a_time(pixels_BHWC, draws):
    images = pixels_BHWC.permute(0, 3, 1, 2).float() / 255
    for index in range(len(images)):
        if draws.jittered_B[index]:
            for operation in draws.order:
                images[index] = OPERATIONS[operation](images[index], draws.factors_4B[operation, index].item())
    return (images * 255).round().permute(0, 2, 3, 1)


@pytest.mark.parametrize("seed", range(6))
def test_it_equals_torchvision_to_one_level(seed):
    limits = JitterRange(probability=0.7, brightness=0.6, contrast=0.5, saturation=0.9, hue=0.5)
    draws = draw_jitter(limits, 16, torch.Generator().manual_seed(seed))
    pixels = pixels_of(16)
    difference = (apply_jitter(pixels, draws).float() - one_at_a_time(pixels, draws)).abs()
    assert difference.max() <= 1
    assert difference.mean() < 0.02  # rounding of equal values, no more
    assert torch.equal(apply_jitter(pixels, draws)[~draws.jittered_B], pixels[~draws.jittered_B])


def test_a_batch_without_a_jittered_image_is_left_as_it_is():
    pixels = pixels_of(4)
    draws = JitterDraws(torch.zeros(4, dtype=torch.bool), torch.ones(4, 4), (0, 1, 2, 3))
    assert torch.equal(apply_jitter(pixels, draws), pixels)


def test_factors_lie_evenly_in_their_ranges_and_orders_are_all_drawn():
    limits = JitterRange(probability=0.25, brightness=0.15, contrast=2.0, saturation=0.1, hue=0.1)
    draws = draw_jitter(limits, 40_000, torch.Generator().manual_seed(0))
    assert abs(draws.jittered_B.float().mean().item() - 0.25) < 0.01
    for factors, (low, high) in zip(draws.factors_4B, [(0.85, 1.15), (0.0, 3.0), (0.9, 1.1), (-0.1, 0.1)], strict=True):
        assert low <= factors.min() < low + 0.001 * (high - low) + 1e-4
        assert high - 0.001 * (high - low) - 1e-4 < factors.max() <= high + 1e-6
        assert abs(factors.mean().item() - (low + high) / 2) < 0.01 * (high - low)
    generator = torch.Generator().manual_seed(0)
    assert len({draw_jitter(limits, 2, generator).order for _ in range(400)}) == 24


def test_an_amount_of_zero_switches_its_operation_off():
    limits = JitterRange.from_config(ColorJitter(ENABLED=True, HUE=0, CONTRAST=0))
    assert limits is not None
    assert set(draw_jitter(limits, 3, torch.Generator().manual_seed(0)).order) == {0, 2}
    assert JitterRange.from_config(ColorJitter(ENABLED=False)) is None
    assert JitterRange.from_config(ColorJitter(ENABLED=True, PROB=0)) is None
