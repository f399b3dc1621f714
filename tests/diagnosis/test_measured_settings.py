"""Values that remedies take from measurements, and when the published ones stay."""

import math

import pytest

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.measured_settings import with_settings
from unplateau.runs.record import Finding

from .made_probes import measured

SWEEP = {"probed_rate": 1e-5, "rate_of_steepest_descent": 0.02, "lr_range_first_loss": 4.09, "num_identities": 60.0}


def swept(lowest: float, *, base: float, end: float = 3.0) -> Case:
    return measured(
        {**SWEEP, "rate_of_lowest_loss": lowest}, {"0.0265": {"lr_range_loss": end}}, base_learning_rate=base, num_identities=60
    )


def settings(remedy: str, case: Case) -> dict[str, float]:
    return with_settings(Finding("code", "title", "optimisation", 0.8, (), remedies=("repair_step", remedy)), case).settings


def test_a_rate_is_a_tenth_of_the_one_with_the_lowest_loss():
    assert settings("higher_learning_rate", swept(0.0265, base=1e-5)) == {"SOLVER.BASE_LR": 0.0027}
    assert settings("lower_learning_rate", swept(0.0265, base=0.2)) == {"SOLVER.BASE_LR": 0.0027}


@pytest.mark.parametrize(
    ("remedy", "case"),
    [
        ("higher_learning_rate", swept(0.0265, base=2e-3)),  # about what it is already
        ("higher_learning_rate", swept(0.0265, base=0.2)),  # the other way
        ("lower_learning_rate", swept(0.0265, base=1e-5)),
        ("higher_learning_rate", swept(1e-6, base=1e-8)),  # lowest where the sweep begins
        ("higher_learning_rate", swept(0.0265, base=1e-5, end=4.085)),  # hardly fell
        ("higher_learning_rate", measured({}, base_learning_rate=1e-5)),
        ("warm_up", swept(0.0265, base=1e-5)),
    ],
)
def test_otherwise_the_published_value_stays(remedy, case):
    assert settings(remedy, case) == {}


@pytest.mark.parametrize("people", [60, 751])
def test_cosines_are_scaled_by_the_number_of_people(people):
    case = measured({}, num_identities=people)
    assert settings("restore_cosine_scale", case)["MODEL.HEADS.SCALE"] == pytest.approx(
        math.sqrt(2) * math.log(people - 1), abs=0.05
    )
    assert settings("restore_cosine_scale", measured({})) == {}
