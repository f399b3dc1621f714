import math
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unplateau.losses.pairs import pairs_of
from unplateau.losses.triplet import TripletLoss, hardest_distances

FORMS = [
    {"margin": margin, "hard_mining": hard, "unit_features": unit}
    for margin in (0.0, 0.3, 1.5)
    for hard in (True, False)
    for unit in (True, False)
]


def oracle(features, person_ids, *, margin, hard_mining, unit_features):
    """The definition, in loops: (loss, d_ap, d_an, active, excluded)."""
    rows = [row / row.norm() if unit_features else row for row in features.double()]
    ids = person_ids.tolist()
    losses, aps, ans, active = [], [], [], []
    for a, id_a in enumerate(ids):
        positives = [float((rows[a] - rows[j]).norm()) for j, id_j in enumerate(ids) if id_j == id_a and j != a]
        negatives = [float((rows[a] - rows[j]).norm()) for j, id_j in enumerate(ids) if id_j != id_a]
        if not positives or not negatives:
            continue
        if hard_mining:
            d_ap, d_an = max(positives), min(negatives)
        else:
            d_ap = sum(d * math.exp(d) for d in positives) / sum(math.exp(d) for d in positives)
            d_an = sum(d * math.exp(-d) for d in negatives) / sum(math.exp(-d) for d in negatives)
        losses.append(max(0.0, d_ap - d_an + margin) if margin > 0 else math.log1p(math.exp(d_ap - d_an)))
        aps.append(d_ap)
        ans.append(d_an)
        active.append(float(d_ap - d_an + margin > 0))
    n = len(losses)
    if n == 0:
        return 0.0, 0.0, 0.0, 0.0, len(ids)
    return sum(losses) / n, sum(aps) / n, sum(ans) / n, sum(active) / n, len(ids) - n


@pytest.mark.parametrize("form", FORMS, ids=str)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), person_ids=st.lists(st.integers(0, 4), min_size=2, max_size=14), dim=st.integers(1, 9))
def test_the_loss_and_its_measurements_are_those_of_plain_loops(form, seed, person_ids, dim):
    ids = torch.tensor(person_ids)
    features = torch.randn(len(ids), dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    term = TripletLoss(**form)(features, None, ids)
    loss, d_ap, d_an, active, excluded = oracle(features, ids, **form)
    assert term.value.item() == pytest.approx(loss, abs=1e-6)
    assert term.measurements["d_ap"].item() == pytest.approx(d_ap, abs=1e-6)
    assert term.measurements["d_an"].item() == pytest.approx(d_an, abs=1e-6)
    assert term.measurements["excluded_anchors"].item() == excluded
    if not form["unit_features"] or dim > 1:  # on a line of unit features distances tie with the margin's edge
        assert term.measurements["active_triplets"].item() == pytest.approx(active, abs=1e-6)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_gradient_is_the_numerical_one(form):
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(8, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    ids = torch.tensor([0, 0, 1, 1, 1, 2, 2, 3])
    assert torch.autograd.gradcheck(lambda f: TripletLoss(**form)(f, None, ids).value, features)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_identical_images_have_a_finite_gradient(form):
    features = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    features[1] = features[0]  # a duplicate within an identity
    features[4] = features[0]  # and across identities
    features.requires_grad_()
    TripletLoss(**form)(features, None, torch.arange(8) // 2).value.backward()
    assert torch.isfinite(features.grad).all()
    assert features.grad.abs().max() < 10


def test_distances_of_nearly_identical_long_features_keep_their_digits():
    generator = torch.Generator().manual_seed(0)
    features = 100 + 1e-3 * torch.randn(6, 64, generator=generator)
    ids = torch.arange(6) // 2
    d_ap, _ = hardest_distances(features, pairs_of(ids))
    exact = (features[0::2].double() - features[1::2].double()).norm(dim=1).repeat_interleave(2)
    torch.testing.assert_close(d_ap.double(), exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_features_are_compared_in_single_precision_under_autocast(dtype):
    features = torch.randn(16, 32, generator=torch.Generator().manual_seed(0)).to(dtype)
    ids = torch.arange(16) // 4
    with torch.autocast("cpu", dtype=torch.bfloat16):
        term = TripletLoss(hard_mining=False)(features, None, ids)
    assert term.value.dtype == torch.float32
    expected = oracle(features, ids, margin=0.3, hard_mining=False, unit_features=False)[0]
    assert term.value.item() == pytest.approx(expected, abs=1e-4)


def test_a_batch_without_any_pair_costs_nothing_and_is_counted():
    features = torch.randn(6, 4, requires_grad=True, generator=torch.Generator().manual_seed(0))
    for ids in (torch.arange(6), torch.zeros(6, dtype=torch.int64)):
        for hard in (True, False):
            term = TripletLoss(hard_mining=hard)(features, None, ids)
            (gradient,) = torch.autograd.grad(term.value, features)
            assert term.value.item() == 0 and torch.equal(gradient, torch.zeros_like(gradient))
            assert term.measurements["excluded_anchors"].item() == 6


@pytest.mark.slow
def test_a_step_at_batch_64_takes_well_under_the_time_of_a_loop_over_anchors():
    features = torch.randn(64, 512, generator=torch.Generator().manual_seed(0), requires_grad=True)
    ids, loss = torch.arange(64) // 4, TripletLoss()
    seconds = []
    for _ in range(200):
        start = time.perf_counter()
        torch.autograd.grad(loss(features, None, ids).value, features)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 2e-3  # a loop over anchors: 3.8 ms
