"""Whether labels stay with their people in a batch, among batches, from epoch to epoch and across cameras."""

import pytest
import torch

from unplateau.probes.label_stability import label_stability, labels_and_cameras, partner_likeness

from .reading import value

PEOPLE, IMAGES = 8, 12
IDS = torch.arange(PEOPLE).repeat(IMAGES)
BATCHES = torch.arange(PEOPLE * IMAGES) // (PEOPLE * IMAGES // 4)


def looks(ids, seed):
    generator = torch.Generator().manual_seed(seed)
    of_people = torch.randn(PEOPLE, 16, generator=torch.Generator().manual_seed(99))
    return of_people[ids] + 0.1 * torch.randn(len(ids), 16, generator=generator)


def stability(labels, later_labels):
    return label_stability(looks(IDS, 1), labels, BATCHES, looks(IDS, 2), later_labels)


def test_labels_that_stay_are_shared_by_look_alikes_everywhere():
    found = stability(IDS, IDS)
    assert [value(found, "same_label", group) for group in ("own batch", "other batches", "other epoch")] == [1, 1, 1]


def test_labels_numbered_anew_in_the_next_epoch_agree_only_within_this_one():
    found = stability(IDS, (IDS + 3) % PEOPLE)
    assert value(found, "same_label", "other batches") == 1
    assert value(found, "same_label", "other epoch") == 0


def test_labels_numbered_anew_in_every_batch_agree_only_within_it():
    found = stability((IDS + BATCHES) % PEOPLE, IDS)
    assert value(found, "same_label", "own batch") == 1
    assert value(found, "same_label", "other batches") == 0


def test_chance_is_that_of_a_plain_count_over_pairs():
    found = stability(IDS, IDS)
    pairs = [(i, j) for i in range(len(IDS)) for j in range(len(IDS)) if i != j and BATCHES[i] == BATCHES[j]]
    share = sum(bool(IDS[i] == IDS[j]) for i, j in pairs) / len(pairs)
    assert value(found, "same_label_chance", "own batch") == pytest.approx(share)


def test_labels_of_one_camera_each_are_seen_and_a_plain_count_agrees():
    cameras = torch.arange(len(IDS)) % 3
    found = labels_and_cameras(IDS, cameras)
    pairs = [(i, j) for i in range(len(IDS)) for j in range(len(IDS)) if i != j and IDS[i] == IDS[j]]
    share = sum(bool(cameras[i] == cameras[j]) for i, j in pairs) / len(pairs)
    assert value(found, "same_camera_of_label") == pytest.approx(share)
    assert value(labels_and_cameras(cameras, cameras), "same_camera_of_label") == 1


def test_labels_without_pairs_say_nothing_of_cameras():
    assert labels_and_cameras(torch.arange(4), torch.zeros(4)) == ()


def test_partners_are_as_like_as_others_where_images_are_drawn_and_far_liker_where_one_is_repeated():
    drawn = partner_likeness(looks(IDS, 1), IDS, BATCHES)
    of_people = looks(torch.arange(PEOPLE), 5)
    generator = torch.Generator().manual_seed(3)
    picture_of_batch = of_people[IDS] + torch.randn(4, PEOPLE, 16, generator=generator)[BATCHES, IDS]
    repeated = picture_of_batch + 0.01 * torch.randn(len(IDS), 16, generator=generator)
    assert value(drawn, "partner_likeness") == pytest.approx(1.0, abs=0.3)
    assert value(partner_likeness(repeated, IDS, BATCHES), "partner_likeness") < 0.1
    assert value(partner_likeness(of_people, torch.arange(PEOPLE), torch.zeros(PEOPLE)), "partner_likeness") is None
