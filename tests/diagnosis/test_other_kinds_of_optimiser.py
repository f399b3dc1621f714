"""Rates of two kinds of optimiser are not compared; how far a step moves the weights tells which of them is off."""

import dataclasses

import pytest

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.diagnose import diagnose
from unplateau.runs.record import Measurement

from .made_probes import measured

RATE_OF_SGD = {"rate_highest": 0.05, "rate_mean": 0.03, "watched_steps": 150.0}
SGD_FOR_ADAM = {"is_adam": {"setting_trained": 0.0, "setting_configured": 1.0, "setting_differs": 1.0}}


def trained(motion: float, groups: dict[str, dict[str, float]]) -> Case:
    case = measured({**RATE_OF_SGD, "weight_motion": motion}, groups, base_learning_rate=0.002)
    late = Measurement("weight_motion", 1e-5)  # after the last drop, where any optimiser moves little
    return dataclasses.replace(case, measurements=(*case.measurements, late))


def codes(case: Case) -> set[str]:
    return {finding.code for finding in diagnose(case).findings if finding.severity != "info"}


def test_a_rate_of_the_configured_kind_is_compared():
    assert "rate-not-as-configured" in codes(trained(5e-3, {}))


def test_a_rate_of_another_kind_is_not_where_weights_move_as_they_should():
    case = trained(5e-3, SGD_FOR_ADAM)
    assert codes(case) == {"optimizer-not-as-configured"}
    first = diagnose(case).first
    assert first is not None and first.confidence <= 0.6


@pytest.mark.parametrize(("motion", "cause"), [(4e-4, "learning-rate-too-low"), (0.06, "learning-rate-too-high")])
def test_how_far_weights_move_says_which_way_it_is_off(motion, cause):
    first = diagnose(trained(motion, SGD_FOR_ADAM)).first
    assert first is not None and {*first.causes[:2]} >= {cause}


def test_two_settings_that_differ_are_both_named_the_surer_first():
    decay = {"weight_decay": {"setting_trained": 0.05, "setting_configured": 5e-4, "setting_differs": 1.0}}
    found = next(
        f for f in diagnose(trained(4e-4, {**SGD_FOR_ADAM, **decay})).findings if f.code == "optimizer-not-as-configured"
    )
    assert found.causes == ("weight-decay-too-strong", "learning-rate-too-low", "learning-rate-too-high", "wrong-update")
