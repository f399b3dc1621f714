import math

import pytest
import torch

from unplateau.losses.circle import CircleLoss


def oracle(features, ids, margin, gamma):
    rows = [row / row.norm() for row in features.double()]
    losses = []
    for a in range(len(ids)):
        positives = [float(rows[a] @ rows[j]) for j in range(len(ids)) if ids[j] == ids[a] and j != a]
        negatives = [float(rows[a] @ rows[j]) for j in range(len(ids)) if ids[j] != ids[a]]
        if not positives or not negatives:
            continue
        sum_p = sum(math.exp(-gamma * max(0, 1 + margin - s) * (s - 1 + margin)) for s in positives)
        sum_n = sum(math.exp(gamma * max(0, s + margin) * (s - margin)) for s in negatives)
        losses.append(math.log1p(sum_p * sum_n))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("gamma", [1.0, 16.0, 64.0])
@pytest.mark.parametrize("margin", [0.1, 0.25, 0.4])
def test_the_loss_is_that_of_plain_loops(margin, gamma):
    features = torch.randn(10, 6, generator=torch.Generator().manual_seed(0))
    ids = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 3, 4])
    term = CircleLoss(margin=margin, gamma=gamma)(features, None, ids)
    assert term.value.item() == pytest.approx(oracle(features, ids, margin, gamma), rel=1e-4)
    assert term.measurements["excluded_anchors"].item() == 2


def test_anchors_without_a_pair_leave_finite_gradients():
    features = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    for ids in (torch.arange(4), torch.zeros(4, dtype=torch.int64)):
        term = CircleLoss()(features, None, ids)
        (gradient,) = torch.autograd.grad(term.value, features)
        assert term.value.item() == 0 and torch.equal(gradient, torch.zeros_like(gradient))


def test_features_of_length_zero_have_a_bounded_gradient():
    features = torch.zeros(4, 3, requires_grad=True)
    CircleLoss(gamma=1.0)(features, None, torch.arange(4) // 2).value.backward()
    assert torch.isfinite(features.grad).all()
