import pytest
import torch

from unplateau.probes.labels import label_agreement, label_range

from .reading import value


def test_labels_outside_the_classifier_and_unused_ones_are_counted():
    found = label_range(torch.tensor([-1, 0, 0, 2, 2, 5, 5, 5]), num_identities=4)
    assert value(found, "label_lowest") == -1 and value(found, "label_highest") == 5
    assert value(found, "labels_out_of_range") == 4 and value(found, "labels_unused") == 2
    assert value(found, "single_image_identities") == 1 and value(found, "images_per_identity") == 2


def test_good_labels_leave_nothing_to_say():
    found = label_range(torch.arange(12) // 3, num_identities=4)
    assert value(found, "labels_out_of_range") == value(found, "labels_unused") == 0


def oracle(features, ids, k):
    shares = []
    for i in range(len(ids)):
        if sum(int(j == ids[i]) for j in ids) < 2:
            continue
        cosine = [float(torch.cosine_similarity(features[i], f, dim=0)) for f in features]
        nearest = sorted((j for j in range(len(ids)) if j != i), key=lambda j: -cosine[j])[:k]
        shares.append(sum(float(ids[j] == ids[i]) for j in nearest) / k)
    return sum(shares) / len(shares)


def test_agreement_is_that_of_plain_loops():
    features = torch.randn(30, 5, generator=torch.Generator().manual_seed(0))
    ids = torch.cat([torch.arange(28) // 4, torch.tensor([50, 51])])
    assert value(label_agreement(features, ids, neighbours=3), "label_agreement") == pytest.approx(
        oracle(features, ids, 3), abs=1e-6
    )


def test_shuffling_a_share_of_labels_lowers_agreement_towards_chance():
    generator = torch.Generator().manual_seed(0)
    ids = torch.arange(200) // 10
    features = torch.randn(20, 16, generator=generator)[ids] + 0.1 * torch.randn(200, 16, generator=generator)
    wrong = ids.clone()
    wrong[::5] = wrong[::5][torch.randperm(40, generator=generator)]
    agreements = [value(label_agreement(features, labels), "label_agreement") for labels in (ids, wrong)]
    random = label_agreement(torch.randn(200, 16, generator=generator), ids)
    assert agreements[0] == 1 and 0.5 < agreements[1] < 0.8
    assert value(random, "label_agreement") == pytest.approx(value(random, "label_agreement_chance"), abs=0.03)


def test_a_camera_with_mixed_up_labels_stands_out():
    ids, cameras = torch.arange(80) // 8, torch.arange(80) % 2
    features = torch.eye(10)[ids]
    ids = torch.where(cameras == 1, (ids + 3) % 10, ids)
    found = label_agreement(features, ids, cameras, neighbours=3)
    assert {m.group for m in found} == {"", "camera 0", "camera 1"}


def test_labels_without_pairs_give_no_number_and_say_why():
    (found,) = label_agreement(torch.eye(3), torch.arange(3))
    assert found.value is None and "two images" in found.note
