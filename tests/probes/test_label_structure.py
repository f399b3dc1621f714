import pytest
import torch

from unplateau.probes.label_structure import look_alikes_in_batch, pair_confusion, shifted_agreement, twin_labels

from .reading import value

GENERATOR = torch.Generator().manual_seed(0)
PEOPLE = torch.randn(12, 16, generator=GENERATOR)


def features_of(people, noise=0.1):
    return PEOPLE[people] + noise * torch.randn(len(people), 16, generator=torch.Generator().manual_seed(1))


def test_labels_rolled_by_two_agree_once_they_are_rolled_back():
    people = [torch.randperm(12, generator=torch.Generator().manual_seed(seed))[:4].repeat_interleave(4) for seed in range(8)]
    features, rows = features_of(torch.cat(people)), torch.arange(8 * 16)
    rolled = [ids.roll(-2) for ids in people]  # what the training believes
    found = shifted_agreement(features, rolled, rows)
    assert max((m.value, m.group) for m in found)[1] == "2"
    assert value(found, "label_agreement_shifted", "2") > 0.9


def confusion_by_loops(features, ids, cameras):
    unit = torch.nn.functional.normalize(features, dim=1)
    rows = []
    for i in range(len(ids)):
        own = [j for j in range(len(ids)) if j != i and ids[j] == ids[i] and cameras[j] == cameras[i]]
        others = [j for j in range(len(ids)) if ids[j] != ids[i] and cameras[j] == cameras[i]]
        if own and others:
            rows.append(sum(float(unit[i] @ unit[k] > unit[i] @ unit[j]) for j in own for k in others) / len(own) / len(others))
    return sum(rows) / len(rows)


def test_confusion_is_that_of_plain_loops():
    ids, cameras = torch.arange(24) // 4, torch.arange(24) % 2
    features = torch.randn(24, 5, generator=torch.Generator().manual_seed(2))
    expected = confusion_by_loops(features, ids, cameras)
    assert value(pair_confusion(features, ids, cameras), "pair_confusion") == pytest.approx(expected, abs=1e-6)


def test_people_under_one_label_are_confused_with_strangers():
    people, cameras = torch.arange(96) % 12, torch.arange(96) // 48
    features = features_of(people)
    alone = value(pair_confusion(features, people, cameras), "pair_confusion")
    merged = value(pair_confusion(features, people // 3, cameras), "pair_confusion")
    assert alone < 0.02 < 0.2 < merged


def test_people_numbered_anew_in_each_camera_are_strangers_across_cameras_alone():
    people, cameras = torch.arange(96) % 12, torch.arange(96) // 48
    anew = torch.where(cameras == 0, people, (people + 5) % 12)
    found = pair_confusion(features_of(people), anew, cameras)
    assert value(found, "pair_confusion") < 0.02
    assert value(found, "pair_confusion", "across cameras") > 0.4
    assert value(pair_confusion(features_of(people), people, cameras), "pair_confusion", "across cameras") < 0.02


def test_without_two_images_in_a_camera_confusion_is_not_known():
    assert (
        value(pair_confusion(torch.randn(4, 3), torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])), "pair_confusion") is None
    )


def test_a_person_under_several_labels_gives_twins_and_good_labels_do_not():
    people = torch.arange(96) // 8
    pieces = 2 * people + torch.arange(96) % 2
    assert value(twin_labels(features_of(people), people), "twin_labels") == 0.0
    assert value(twin_labels(features_of(people), pieces), "twin_labels") > 0.7


def test_labels_of_random_features_have_no_twins():
    features = torch.randn(400, 16, generator=torch.Generator().manual_seed(3))
    assert value(twin_labels(features, torch.arange(400) // 4), "twin_labels") < 0.1


def test_a_batch_of_one_picture_has_its_look_alikes_beside_it():
    batches, people = torch.arange(60) // 10, torch.arange(60) % 12
    pictures = torch.randn(6, 16, generator=torch.Generator().manual_seed(4))
    noise = 0.1 * torch.randn(60, 16, generator=torch.Generator().manual_seed(5))
    one_picture = look_alikes_in_batch(pictures[batches] + noise, people, batches)
    usual = look_alikes_in_batch(features_of(people), people, batches)
    assert value(one_picture, "look_alikes_in_batch") == 1.0
    assert value(usual, "look_alikes_in_batch") < 0.5
    pairs = [(i, j) for i in range(60) for j in range(60) if people[i] != people[j]]
    expected = sum(bool(batches[i] == batches[j]) for i, j in pairs) / len(pairs)
    assert value(usual, "look_alikes_by_chance") == pytest.approx(expected)


def test_one_label_has_no_look_alikes():
    found = look_alikes_in_batch(torch.randn(4, 3), torch.zeros(4), torch.zeros(4))
    assert value(found, "look_alikes_in_batch") is None
