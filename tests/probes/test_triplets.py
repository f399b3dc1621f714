import statistics

import pytest
import torch

from unplateau.probes.triplets import triplets

from .reading import value


def test_the_geometry_is_that_of_plain_loops():
    features = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    ids = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 3, 4])
    found = triplets(features, ids, margin=0.3)
    distance = lambda i, j: float((features[i].double() - features[j].double()).norm())  # noqa: E731
    pairs = [(i, j) for i in range(10) for j in range(10) if i < j]
    positive = [distance(i, j) for i, j in pairs if ids[i] == ids[j]]
    negative = [distance(i, j) for i, j in pairs if ids[i] != ids[j]]
    spread = ((statistics.pvariance(positive) + statistics.pvariance(negative)) / 2) ** 0.5
    assert value(found, "d_positive") == pytest.approx(statistics.fmean(positive), rel=1e-6)
    assert value(found, "d_prime") == pytest.approx((statistics.fmean(negative) - statistics.fmean(positive)) / spread, rel=1e-6)
    hardest = [
        (
            max(distance(a, j) for j in range(10) if ids[j] == ids[a] and j != a),
            min(distance(a, j) for j in range(10) if ids[j] != ids[a]),
        )
        for a in range(8)
    ]
    assert value(found, "d_ap") == pytest.approx(statistics.fmean(ap for ap, _ in hardest), rel=1e-5)
    assert value(found, "d_an") == pytest.approx(statistics.fmean(an for _, an in hardest), rel=1e-5)
    assert value(found, "active_triplets") == pytest.approx(sum(ap - an + 0.3 > 0 for ap, an in hardest) / 8)
    assert value(found, "anchors_with_positive") == pytest.approx(0.8)
    assert value(found, "identities_in_batch") == 5


def test_a_batch_without_positives_gives_no_distances():
    found = triplets(torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.arange(4), margin=0.3)
    assert value(found, "anchors_with_positive") == 0 and value(found, "positives_per_anchor") == 0
    assert value(found, "d_ap") is None and value(found, "d_prime") is None


def test_collapsed_features_tell_nothing_apart():
    found = triplets(torch.ones(8, 3), torch.arange(8) // 2, margin=0.3)
    assert value(found, "d_ap") == value(found, "d_an") == value(found, "d_prime") == 0
    assert value(found, "active_triplets") == 1
