import math

import pytest
import torch

from unplateau.probes.initial_loss import initial_loss

from .reading import value


def test_the_loss_is_that_of_plain_loops():
    generator = torch.Generator().manual_seed(0)
    logits, ids = torch.randn(6, 5, generator=generator), torch.randint(0, 5, (6,), generator=generator)
    rows = zip(logits.double().tolist(), ids.tolist(), strict=True)
    plain = [math.log(sum(math.exp(x) for x in row)) - row[k] for row, k in rows]
    assert value(initial_loss(logits, ids), "initial_cross_entropy") == pytest.approx(sum(plain) / 6, rel=1e-5)


@pytest.mark.parametrize("std", [0.001, 0.01])
def test_an_untrained_linear_head_starts_where_its_measured_parts_say(std):
    generator = torch.Generator().manual_seed(0)
    inputs, weight = torch.randn(64, 2048, generator=generator), std * torch.randn(751, 2048, generator=generator)
    ids = torch.arange(64) // 4
    found = initial_loss(inputs @ weight.T, ids, classifier_inputs_BD=inputs, weight_ID=weight)
    expected = math.log(751) + value(found, "classifier_std") ** 2 * value(found, "classifier_input_square") / 2
    error = value(found, "initial_cross_entropy_error")
    assert abs(value(found, "initial_cross_entropy") - expected) < 4 * error
    assert value(found, "classifier_std") == pytest.approx(std, rel=0.01)


def test_equal_logits_have_no_spread():
    found = initial_loss(torch.full((4, 7), 3.0), torch.arange(4))
    assert value(found, "logit_std") == 0 and value(found, "initial_cross_entropy") == pytest.approx(math.log(7))
