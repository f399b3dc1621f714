import pytest
import torch
from torch.nn import functional as F

from unplateau.probes.images_of_files import best_files, distinct_files, images_of_files, labels_of_files

from .reading import value, values

LABELS = torch.arange(20) // 2
MEAN, STD = (120.0, 110.0, 100.0), (60.0, 55.0, 50.0)


def pictures(seed=0, count=20, size=(32, 16)):
    coarse = torch.randn(count, 3, 8, 4, generator=torch.Generator().manual_seed(seed))
    smooth = F.interpolate(coarse, size, mode="bilinear")
    return smooth + 0.2 * torch.randn(smooth.shape, generator=torch.Generator().manual_seed(seed + 1))


def moved(images, rows, columns):
    return F.pad(images, (3, 3, 3, 3))[:, :, 3 - rows : 3 - rows + images.shape[2], 3 - columns : 3 - columns + images.shape[3]]


FILES = distinct_files(pictures(), LABELS)


def found(images, labels=LABELS):
    return images_of_files(images, labels, FILES, padding=3, normalisation=(MEAN, STD))


LUMA = torch.tensor([0.299, 0.587, 0.114])[:, None, None]


def in_pixels(change):
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (change(pictures() * std + mean) - mean) / std


def plain_share(image, file, padding):
    """Share of equal pixels at the best of all shifts and both ways round, by loops."""
    best = 0.0
    for theirs in (file, file.flip(2)):
        for rows in range(-padding, padding + 1):
            for columns in range(-padding, padding + 1):
                mine = image[:, max(rows, 0) : 32 + min(rows, 0), max(columns, 0) : 16 + min(columns, 0)]
                other = theirs[:, max(-rows, 0) : 32 + min(-rows, 0), max(-columns, 0) : 16 + min(-columns, 0)]
                best = max(best, float(((mine - other).abs().amax(0) < 0.03).float().mean()))
    return best


def test_mirrored_shifted_and_covered_images_are_found_with_their_labels():
    images = moved(pictures(), 2, -3)
    images[::2] = images[::2].flip(3)
    images[:, :, 4:12, 3:11] = 0.5
    measured = found(images)
    assert value(measured, "images_found") >= 0.85  # a few that are shifted and covered much look more like others
    assert value(measured, "labels_of_file") == 1.0
    assert value(measured, "pixels_of_file") == pytest.approx(1 - 64 / 512, abs=0.06)


def test_the_share_is_that_of_trying_every_shift_of_every_file():
    images = moved(pictures(), -1, 2)[:4]
    images[:, :, 20:, :7] = 2.0
    match = best_files(images, FILES, padding=3)
    for row in range(4):
        slow = max(plain_share(images[row], file, 3) for file in FILES.images_MCHW)
        assert float(match.shares_N[row]) == pytest.approx(slow, abs=1e-6)


def test_labels_of_other_images_are_told_from_files():
    assert value(found(pictures(), LABELS.roll(2)), "labels_of_file") == 0.0
    half = torch.cat([LABELS[:10], LABELS[10:].roll(2)])
    assert value(found(pictures(), half), "labels_of_file") == 0.5


def test_pixels_that_something_changed_are_not_found_and_a_known_change_is_named():
    small = F.interpolate(F.interpolate(pictures(), (16, 8), mode="bilinear"), (32, 16), mode="bilinear")
    changes = {
        None: small,
        "upside down": pictures().flip(2),
        "channels in the order 102": in_pixels(lambda pixels: pixels[:, [1, 0, 2]]),
        "channels reversed after normalising": pictures().flip(1),
        "colours inverted": in_pixels(lambda pixels: 255 - pixels),
        "colours gone": in_pixels(lambda pixels: (pixels * LUMA).sum(1, keepdim=True).repeat(1, 3, 1, 1)),
    }
    for change, images in changes.items():
        measured = found(images)
        assert value(measured, "pixels_of_file") < 0.2
        shares = {group: share for (name, group), share in values(measured).items() if name == "pixels_of_file" and group}
        assert [group for group, share in shares.items() if share > 0.9] == ([change] if change else [])


def test_a_part_that_was_changed_is_told_by_what_finds_it():
    images = torch.cat([pictures()[:12], pictures()[12:].flip(2)])
    measured = found(images)
    assert value(measured, "images_found") == pytest.approx(0.6)
    assert value(measured, "images_found", "upside down") == pytest.approx(0.4)
    assert value(measured, "images_found", "colours gone") == 0.0


def test_another_contrast_leaves_the_correlation():
    assert value(found(0.3 * pictures() + 2.0), "file_correlation") == pytest.approx(1.0, abs=1e-3)
    assert value(found(0.3 * pictures() + 2.0), "pixels_of_file") < 0.2
    noise = torch.randn(20, 3, 32, 16, generator=torch.Generator().manual_seed(9))
    assert value(found(noise), "file_correlation") < 0.5


def test_copies_of_a_file_count_once_with_all_their_labels():
    copies = pictures()[:1].expand(20, -1, -1, -1)
    files = distinct_files(copies, LABELS)
    assert len(files.images_MCHW) == 1
    measured = images_of_files(pictures()[:1].repeat(6, 1, 1, 1), torch.arange(6), files, padding=0, normalisation=(MEAN, STD))
    assert value(measured, "labels_of_file") == 1.0
    assert value(measured, "files_in_batch") == pytest.approx(1 / 6)


def test_files_that_cannot_be_told_apart_say_nothing_against_a_label():
    alike = pictures()[:1].repeat(20, 1, 1, 1)
    alike += 0.1 * torch.arange(20.0).view(-1, 1, 1, 1) * (torch.arange(32) < 2).view(1, 1, -1, 1)  # two of 32 rows differ
    files = distinct_files(alike, LABELS)
    measured = images_of_files(alike[:4], LABELS[2:6], files, padding=0, normalisation=(MEAN, STD))
    assert value(measured, "labels_of_file") == 1.0


def test_pictures_listed_under_two_labels_are_counted():
    twice = torch.cat([pictures()[:10], pictures()[:5]])
    found = labels_of_files(distinct_files(twice, torch.arange(15)))
    assert value(found, "files_of_several_labels") == pytest.approx(0.5)
    assert value(labels_of_files(FILES), "files_of_several_labels") == 0.0


def test_images_that_nothing_was_done_to_are_counted_and_any_augmentation_is_something():
    assert value(found(pictures()), "images_unchanged") == 1.0
    covered = pictures()
    covered[:5, :, 4:9, 4:9] = 0.0
    mixed = torch.cat([covered[:5], pictures()[5:10].flip(3), moved(pictures()[10:15], 1, 0), pictures()[15:]])
    assert value(found(mixed), "images_unchanged") == 0.25
