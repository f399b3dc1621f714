import pytest
import torch

from unplateau.probes.clothes_colours import clothes_colours, found_again, pairs_fit_changed
from unplateau.probes.labels import label_agreement

from .reading import value, values


def drawn(people, cameras, seed=0):
    """Striped clothes of 20 people on a noisy background, in the light of three cameras."""
    generator = torch.Generator().manual_seed(seed)
    clothes, light = torch.rand(20, 3, 4, generator=generator), torch.rand(3, 3, generator=torch.Generator().manual_seed(9))
    images = torch.rand(len(people), 3, 32, 16, generator=generator)
    images[:, :, :, 4:12] = clothes[people].repeat_interleave(8, 2)[..., None] + 0.05 * images[:, :, :, 4:12]
    return images + 2 * light[cameras][:, :, None, None]


def test_people_are_told_apart_by_their_clothes_across_cameras():
    people, cameras = torch.arange(120) % 20, torch.arange(120) // 40
    found = label_agreement(clothes_colours(drawn(people, cameras), cameras), people)
    assert value(found, "label_agreement") > 10 * value(found, "label_agreement_chance")


def test_a_camera_of_its_own_light_is_put_on_the_others_scale():
    people, cameras = torch.arange(60) % 20, torch.arange(60) // 20
    found = clothes_colours(drawn(people, cameras), cameras)
    for camera in range(3):
        assert found[cameras == camera].mean(0).abs().max() < 1e-4


def test_stripes_are_means_and_deviations_of_the_middle():
    images = drawn(torch.tensor([3]), torch.tensor([0]))
    one_camera = torch.cat([images, images + 1.0])
    found = clothes_colours(one_camera, torch.zeros(2, dtype=torch.long))
    means = [[float(image[c, 4 * s : 4 * s + 4, 4:12].mean()) for c in range(3) for s in range(8)] for image in one_camera]
    middle = [(a + b) / 2 for a, b in zip(*means, strict=True)]
    expected = [(a - m) / (abs(a - m) + 1e-3) for a, m in zip(means[0], middle, strict=True)]
    assert found[0, :24].tolist() == pytest.approx(expected, abs=1e-4)
    assert found.shape == (2, 48)


def test_images_of_a_few_pixels_have_colours_too():
    assert clothes_colours(torch.rand(2, 3, 16, 1), torch.zeros(2)).isfinite().all()


def test_images_are_found_again_as_they_are_and_worse_in_any_changed_form():
    people, cameras = torch.arange(120) % 20, torch.arange(120) // 40
    again = values(found_again(drawn(people, cameras, 1), cameras, drawn(people, cameras, 2), cameras))
    straight = again.pop(("looks_found_again", ""))
    assert straight < 0.85
    assert all(changed > straight for changed in again.values())


@pytest.mark.parametrize(
    ("change", "group"),
    [(lambda images: images.flip(1), "channels reversed"), (lambda images: images.flip(2), "upside down")],
    ids=["BGR", "turned over"],
)
def test_a_change_of_the_evaluation_is_found_by_making_it(change, group):
    people, cameras = torch.arange(120) % 20, torch.arange(120) // 40
    again = values(found_again(drawn(people, cameras, 1), cameras, change(drawn(people, cameras, 2)), cameras))
    assert min(again, key=again.get) == ("looks_found_again", group)


def test_images_that_augmentation_covers_are_not_found_again():
    people, cameras = torch.arange(120) % 20, torch.arange(120) // 40
    noise = 3 * torch.randn(120, 3, 32, 16, generator=torch.Generator().manual_seed(4))
    covered = drawn(people, cameras, 1) * torch.randn(120, 3, 1, 1, generator=torch.Generator().manual_seed(5)) + noise
    assert value(found_again(covered, cameras, drawn(people, cameras, 2), cameras), "looks_found_again") > 1.0


CHANGES = {
    "channels reversed": lambda images: images.flip(1),
    "negative": lambda images: -images,
    "upside down": lambda images: images.flip(2),
}


@pytest.mark.parametrize("group", CHANGES)
def test_files_of_which_half_are_changed_fit_better_once_they_are_changed_back(group):
    people = torch.arange(160) % 20
    images = drawn(people, torch.zeros(160, dtype=torch.long))
    healthy = values(pairs_fit_changed(images, people))
    assert max(healthy.values()) < 0.01
    images[::3] = CHANGES[group](images[::3] - images.mean()) + images.mean()
    found = values(pairs_fit_changed(images, people))
    assert max(found, key=found.get) == ("pairs_fit_changed", group)
    assert found["pairs_fit_changed", group] > 0.1


def test_pairs_that_fit_changed_are_counted_as_one_by_one():
    people = torch.tensor([0, 0, 1, 1, 2])
    images = drawn(torch.tensor([3, 4, 5, 5, 6]), torch.zeros(5, dtype=torch.long))
    images[1] = images[0].flip(0)
    found = values(pairs_fit_changed(images, people))
    assert found["pairs_fit_changed", "channels reversed"] == pytest.approx(0.5)


def test_labels_of_one_image_each_have_no_pairs():
    assert pairs_fit_changed(torch.rand(4, 3, 8, 4), torch.arange(4)) == ()
