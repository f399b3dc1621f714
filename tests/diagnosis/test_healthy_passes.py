"""Healthy curves pass values at which a broken one would stay."""

import numpy as np
import pytest

from unplateau.curves.landmarks import softmax_twice_floor
from unplateau.diagnosis.diagnose import diagnose
from unplateau.runs.foreign_logs.training_log import LogFacts

from .made_cases import falling, make_case

FACTS = LogFacts(num_identities=150, margin=0.3)
FLOOR = softmax_twice_floor(150)


def _codes(losses) -> set[str]:
    length = len(losses)
    case = make_case(
        FACTS, epochs=range(1, length + 1), cross_entropy=losses, triplet=falling(4.0, 0.5, 4),
        mAP=falling(0.06, 0.5, 6, noise=0.002),
    )  # fmt: skip
    return {finding.code for finding in diagnose(case).findings}


@pytest.mark.parametrize("length", [6, 7, 8])
def test_a_loss_that_falls_through_the_floor_of_bounded_logits_is_not_bounded(length):
    losses = [4.89, 4.66, 4.50, 4.32, 4.24, 4.09, 4.06, 3.88][:length]  # a recorded healthy run on 150 identities
    assert "softmax-before-ce" not in _codes(losses)


def test_a_loss_that_comes_to_rest_on_that_floor_is_bounded():
    losses = FLOOR + 0.02 + 0.8 * np.exp(-np.arange(20) / 2)
    assert "softmax-before-ce" in _codes(losses)
