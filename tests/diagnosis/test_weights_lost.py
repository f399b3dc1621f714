"""Weights that are lost from one epoch to the next, and what only looks like it."""

import dataclasses

import numpy as np
import pytest

from unplateau.diagnosis.diagnose import diagnose

from .made_cases import MARKET, healthy, make_case

LEARNED = 6.7 - 0.25 * np.arange(20)
RISEN = 0.03 * np.arange(1, 21)


def codes(loss, score, **facts):
    facts = dataclasses.replace(MARKET, **facts)
    return {finding.code for finding in diagnose(make_case(facts, cross_entropy=loss, mAP=score)).findings}


def test_a_loss_that_is_back_at_its_start_and_stays_there_is_named():
    assert "weights-lost" in codes([*LEARNED, *[6.7] * 8], [*RISEN, *[0.02] * 8])


@pytest.mark.parametrize(
    ("loss", "score"),
    [
        ([*LEARNED, 6.5, 6.2, 5.8, 5.3, 4.9, 4.4], [*RISEN, 0.1, 0.12, 0.15, 0.2, 0.22, 0.25]),  # another stage, learning
        ([*LEARNED, 6.7, *LEARNED[12:]], [*RISEN, 0.02, *RISEN[12:]]),  # one jump
        ([*LEARNED, *[6.7] * 8], [*RISEN, *[0.55] * 8]),  # another loss, the features are as good
        ([0.80, 0.78, 0.79, 0.82, 0.81, 0.82], [0.8, 0.8, 0.2, 0.2, 0.2, 0.2]),  # fine-tuned, below the smoothed floor
    ],
)
def test_what_is_won_again_or_was_never_won_is_not(loss, score):
    assert "weights-lost" not in codes(loss, score, label_smoothing=0.1)


def test_a_healthy_run_loses_nothing():
    assert "weights-lost" not in {finding.code for finding in diagnose(healthy()).findings}
