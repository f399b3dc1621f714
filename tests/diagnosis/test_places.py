"""The part of the training in which a fault is seen is named with its causes: first where they are guesses, last where not."""

import dataclasses

import numpy as np
import pytest

from unplateau.diagnosis.causes import BY_CODE, PLACES
from unplateau.diagnosis.describe import describe
from unplateau.diagnosis.diagnose import diagnose
from unplateau.diagnosis.rules.table import RULES
from unplateau.runs.record import Finding
from unplateau.solutions.catalogue import BY_NAME

from .made_cases import MARKET, falling, flat, make_case
from .made_probes import measured
from .made_twin_probes import output

CONV = "training: backbone.conv1 (C)"


def found(case, code: str) -> Finding:
    return next(finding for finding in diagnose(case).findings if finding.code == code)


def test_every_place_is_a_word_of_the_vocabulary_with_a_remedy_of_its_own():
    places = {place for rule in RULES for place in rule.places}
    assert places == set(PLACES)
    assert all(BY_CODE[place].cure in BY_NAME for place in places)


def test_a_module_whose_output_differs_says_first_that_it_is_the_model():
    finding = found(output(CONV), "model-not-as-configured")
    assert finding.causes[0] == "wrong-model"
    assert finding.remedies[0] == "repair_model"
    assert "where: wrong-model: the network computes something else" in describe(output(CONV), diagnose(output(CONV)))


def test_layers_that_the_network_passes_by_are_its_doing():
    still = {"backbone.a": {"measured_updates": 20.0, "tensors_moved": 0.0, "elements_watched": 100.0},
             "backbone.b": {"measured_updates": 20.0, "tensors_moved": 1.0, "elements_watched": 100.0}}  # fmt: skip
    alone = found(measured({}, still), "layers-not-trained")
    beside = found(measured({}, {**still, CONV: {"output_differs": 2.0}}), "layers-not-trained")
    assert "wrong-model" not in alone.causes
    assert "wrong-model" in beside.causes


def test_a_cause_that_is_nearly_sure_stands_before_its_place():
    zero = {"rate": {"setting_trained": 0.0, "setting_configured": 0.002, "setting_differs": 0.9}}
    finding = found(measured({}, zero), "optimizer-not-as-configured")
    assert finding.causes[0] == "learning-rate-zero"
    assert finding.causes[-1] == "wrong-update"


PLANNED = dataclasses.replace(
    MARKET,
    base_learning_rate=0.002,
    milestones=(40.0, 70.0),
    warm_up_epochs=10.0,
    schedule="MultiStepLR",
    iterations_per_epoch=100,
)
STALLS = {"cross_entropy": falling(6.7, 5.0), "mAP": flat(0.05, 0.001)}


def as_planned(x: np.ndarray) -> np.ndarray:
    return 0.002 * np.minimum(1, x / 10) * 0.1 ** ((x > 40).astype(int) + (x > 70))


def course(rate, facts=PLANNED) -> set[tuple[str, ...]]:
    case = make_case(facts, epochs=range(1, 90), learning_rate=rate, **STALLS)
    return {finding.causes for finding in diagnose(case).findings if finding.code == "rate-not-as-configured"}


@pytest.mark.parametrize(
    ("rate", "named"),
    [
        (lambda x: 0.002 * x / 90, "learning-rate-too-high"),  # warm-up over all epochs: low at first, no drop at the end
        (lambda x: np.where(x > 40, 1e-15, as_planned(x)), "learning-rate-too-low"),  # the drop is repeated in every step
    ],
)
def test_a_rate_that_does_not_follow_its_schedule_is_the_schedules_doing(rate, named):
    (causes,) = course(rate)
    assert "wrong-schedule" in causes and named in causes


@pytest.mark.parametrize("gamma", [0.1, 0.2, 0.5])
def test_drops_of_any_usual_factor_follow_it(gamma):
    assert not course(lambda x: 0.002 * np.minimum(1, x / 10) * gamma ** ((x > 40).astype(int) + (x > 70)))


def test_a_cosine_follows_itself_and_a_swing_does_not():
    cosine = dataclasses.replace(PLANNED, schedule="CosineAnnealingLR", milestones=None)
    assert not course(lambda x: 0.002 * np.minimum(1, x / 10) * (0.5 + 0.5 * np.cos(np.pi * np.maximum(0, x - 10) / 80)), cosine)
    assert course(lambda x: 0.002 * np.cos(x) ** 2 + 1e-9, cosine)


def test_a_factor_that_is_configured_is_followed_however_deep_and_another_is_not():
    deep = dataclasses.replace(PLANNED, settings={"SOLVER.GAMMA": 1e-4})
    assert not course(lambda x: 0.002 * np.minimum(1, x / 10) * 1e-4 ** ((x > 40).astype(int) + (x > 70)), deep)
    assert course(as_planned, deep)
