import math

import pytest
import torch

from unplateau.base.errors import ConfigError
from unplateau.losses.cross_entropy import CrossEntropyLoss


def oracle(logits, ids, eps):
    total = 0.0
    num_identities = logits.shape[1]
    for row, identity in zip(logits.double().tolist(), ids.tolist(), strict=True):
        normaliser = math.log(sum(math.exp(x) for x in row))
        for k, x in enumerate(row):
            target = eps / num_identities + (1 - eps) * (k == identity)
            total -= target * (x - normaliser)
    return total / len(ids)


@pytest.mark.parametrize("eps", [0.0, 0.1, 0.5])
def test_smoothing_spreads_eps_over_all_identities(eps):
    generator = torch.Generator().manual_seed(0)
    logits, ids = 3 * torch.randn(9, 6, generator=generator), torch.randint(0, 6, (9,), generator=generator)
    term = CrossEntropyLoss(smoothing=eps)(torch.zeros(9, 2), logits, ids)
    assert term.value.item() == pytest.approx(oracle(logits, ids, eps), rel=1e-5)


def test_the_floor_with_smoothing_is_the_entropy_of_the_target():
    eps, num_identities = 0.1, 751
    p = 1 - eps + eps / num_identities
    q = eps / num_identities
    floor = -p * math.log(p) - (num_identities - 1) * q * math.log(q)
    logits = torch.full((1, num_identities), math.log(q))
    logits[0, 5] = math.log(p)
    term = CrossEntropyLoss(smoothing=eps)(torch.zeros(1, 2), logits, torch.tensor([5]))
    assert term.value.item() == pytest.approx(floor, rel=1e-4)
    assert floor == pytest.approx(0.986, abs=5e-4)


def test_accuracy_is_the_share_of_images_whose_identity_has_the_largest_logit():
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 1.0], [0.0, 9.0]])
    term = CrossEntropyLoss()(torch.zeros(4, 2), logits, torch.tensor([0, 1, 1, 1]))
    assert term.measurements["accuracy"].item() == 0.75


def test_a_model_without_a_classifier_is_refused_by_name():
    with pytest.raises(ConfigError, match="needs a classifier"):
        CrossEntropyLoss()(torch.zeros(4, 2), None, torch.zeros(4, dtype=torch.int64))
