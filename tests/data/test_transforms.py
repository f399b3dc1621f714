"""The batched augmentation against a plain one that takes one image at a time, fed with the same draws."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from unplateau.config.schema import Config
from unplateau.data.transforms import Augmentation, _mirror_and_crop_pixels, _mirror_and_crop_rows

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def batch_of(num_images: int, height: int = 32, width: int = 16, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (num_images, 3, height, width), dtype=torch.uint8, generator=generator)


def draw(augmentation, images_BCHW, seed=0):
    num_images, _, height, width = images_BCHW.shape
    return augmentation.draw((num_images, height, width), torch.Generator().manual_seed(seed))


def one_at_a_time(augmentation, images_BCHW, draws):
    """The oracle: numpy, one image, one rectangle, in the order the field uses."""
    results = []
    for index, image in enumerate(images_BCHW.numpy()):
        if draws.flipped_B[index]:
            image = image[:, :, ::-1]
        pad = augmentation.padding
        top, left = draws.shift_B2[index].tolist()
        padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
        image = padded[:, top : top + image.shape[1], left : left + image.shape[2]]
        value = (image.astype(np.float64) - np.array(MEAN)[:, None, None]) / np.array(STD)[:, None, None]
        first_row, end_row, first_column, end_column = draws.erased_B4[index].tolist()
        fill = (np.array(augmentation.erase_color) - MEAN) / STD
        value[:, first_row:end_row, first_column:end_column] = fill[:, None, None]
        results.append(value)
    return torch.from_numpy(np.stack(results)).float()


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_batched_way_equals_one_image_at_a_time(channels_last, layout):
    augmentation = Augmentation(
        MEAN, STD, flip_probability=0.5, padding=5, erase_probability=0.7, erase_color=(10.0, 200.0, 30.0)
    )
    images = batch_of(37).contiguous(memory_format=layout)
    draws = draw(augmentation, images)
    result = augmentation.apply(images, draws, channels_last=channels_last)
    assert result.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    torch.testing.assert_close(result, one_at_a_time(augmentation, images, draws), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("padding", [0, 3, 40])
def test_the_path_of_the_gpu_equals_the_path_of_the_cpu(padding):
    augmentation = Augmentation(MEAN, STD, flip_probability=0.5, padding=padding)
    images = batch_of(9)
    pixels_BHWC = images.permute(0, 2, 3, 1).contiguous()
    draws = draw(augmentation, images)
    assert torch.equal(_mirror_and_crop_rows(pixels_BHWC, draws, padding), _mirror_and_crop_pixels(pixels_BHWC, draws, padding))


def test_a_batch_worked_on_in_pieces_equals_its_images_worked_on_alone():
    augmentation = full_augmentation()
    images = batch_of(30, 128, 64)  # more values than one piece holds
    draws = draw(augmentation, images)
    whole = augmentation.apply(images, draws, channels_last=True)
    for index in (0, 15, 29):
        alone = augmentation.apply(images[index : index + 1], draws.part(slice(index, index + 1)))
        torch.testing.assert_close(whole[index : index + 1], alone, rtol=1e-5, atol=1e-5)


def full_augmentation() -> Augmentation:
    on = {"ENABLED": True}
    return Augmentation.from_config(Config.model_validate({"INPUT": {"FLIP": on, "PADDING": on, "CJ": on, "REA": on}}))


def test_nothing_but_normalisation_happens_by_default_and_in_evaluation():
    config = Config()
    assert Augmentation.from_config(config).is_identity
    assert Augmentation.for_evaluation(config) == Augmentation(MEAN, STD)
    assert not full_augmentation().is_identity
    images = batch_of(3)
    expected = (images.double() - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    torch.testing.assert_close(Augmentation.for_evaluation(config).apply(images), expected.float(), rtol=1e-5, atol=1e-5)


def test_an_image_is_never_changed_in_place():
    images = batch_of(20).contiguous(memory_format=torch.channels_last)
    before = images.clone()
    augmentation = full_augmentation()
    augmentation.apply(images, draw(augmentation, images))
    assert torch.equal(images, before)


def test_the_same_generator_draws_the_same_and_the_global_one_is_left_alone():
    augmentation, images = full_augmentation(), batch_of(12)
    state = torch.get_rng_state()
    first, again = (augmentation.apply(images, draw(augmentation, images, seed=5)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, augmentation.apply(images, draw(augmentation, images, seed=6)))
    assert torch.equal(state, torch.get_rng_state())


def test_flips_and_shifts_have_the_distribution_of_the_per_image_reference():
    augmentation = Augmentation(MEAN, STD, flip_probability=0.3, padding=10)
    draws = augmentation.draw((40_000, 256, 128), torch.Generator().manual_seed(0))
    assert abs(draws.flipped_B.float().mean().item() - 0.3) < 0.01
    for axis in (0, 1):
        counts = torch.bincount(draws.shift_B2[:, axis], minlength=21)
        assert len(counts) == 21
        assert (counts / 40_000 * 21 - 1).abs().max() < 0.12


def erase_one_image(generator, height, width, probability):
    """Zhong et al. 2017, algorithm 1, as published: up to 100 attempts, one image."""
    if generator.random() >= probability:
        return None
    for _ in range(100):
        area = generator.uniform(0.02, 0.4) * height * width
        ratio = generator.uniform(0.3, 1 / 0.3)
        rows, columns = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if rows < height and columns < width:
            return generator.integers(0, height - rows + 1), rows, generator.integers(0, width - columns + 1), columns
    return None


def test_erased_rectangles_have_the_distribution_of_zhong_2017():
    augmentation = Augmentation(MEAN, STD, erase_probability=0.5)
    erased = augmentation.draw((20_000, 256, 128), torch.Generator().manual_seed(0)).erased_B4.numpy()
    mine = erased[erased[:, 1] > erased[:, 0]]
    assert abs(len(mine) / 20_000 - 0.5) < 0.015
    generator = np.random.default_rng(0)
    theirs = np.array([box for box in (erase_one_image(generator, 256, 128, 0.5) for _ in range(20_000)) if box is not None])
    measures_of_mine = (mine[:, 0], mine[:, 1] - mine[:, 0], mine[:, 2], mine[:, 3] - mine[:, 2])
    for ours, reference in zip(measures_of_mine, theirs.T, strict=True):
        assert kstest(ours, reference).pvalue > 0.001
    assert mine[:, 1].max() <= 256
    assert mine[:, 3].max() <= 128


def test_images_too_small_to_erase_are_left_whole():
    augmentation = Augmentation(MEAN, STD, erase_probability=1.0)
    images = batch_of(4, 1, 1)
    torch.testing.assert_close(augmentation.apply(images, draw(augmentation, images)), Augmentation(MEAN, STD).apply(images))
