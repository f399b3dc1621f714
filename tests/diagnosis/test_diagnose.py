"""How findings are brought together: what one of them makes of another."""

import dataclasses

import pytest

from tests.diagnosis.made_cases import MARKET, falling, flat, make_case
from tests.diagnosis.made_probes import DELIVERED, DRAWN, MOVES, STUCK, measured
from unplateau.diagnosis.case import Case
from unplateau.diagnosis.diagnose import diagnose

_OVER = dataclasses.replace(MARKET, max_epochs=30)


def _codes(case) -> set[str]:
    return {finding.code for finding in diagnose(case).findings if finding.confidence >= 0.5}


def test_a_run_at_far_too_low_a_rate_is_not_called_finished():
    slow = make_case(
        _OVER, cross_entropy=falling(6.724, 6.70, 30, noise=0.0003), triplet=falling(2.8, 1.8, noise=0.01),
        mAP=flat(0.16, 0.003), learning_rate=flat(3.5e-6),
    )  # fmt: skip
    assert "learning-rate-too-low" in _codes(slow)
    assert "finished" not in _codes(slow)


def test_a_converged_run_without_a_fault_is_called_finished():
    done = make_case(
        _OVER, cross_entropy=falling(6.724, 1.0, 4), triplet=falling(2.8, 0.02, 4), mAP=falling(0.02, 0.8, 3, noise=0.003),
        learning_rate=flat(3.5e-4),
    )  # fmt: skip
    assert "finished" in _codes(done)


def _both(one: Case, other: Case) -> Case:
    return dataclasses.replace(one, measurements=(*one.measurements, *other.measurements))


def test_a_symptom_stands_behind_a_cause_that_is_measured():
    dead = measured({}, {"layer1.relu": {"dead_units": 0.95}})
    clipped = measured({**DELIVERED, "gradient_delivered": 1e-6, "step_over_rate": 1e-4})
    assert diagnose(dead).first.code == "dead-units"
    assert [finding.code for finding in diagnose(_both(dead, clipped)).findings] == ["gradient-clipped-away"]


def test_units_that_were_dead_from_the_start_are_a_cause_and_units_that_died_are_a_symptom():
    died = {"layer1.relu": {"dead_units": 0.95}, "initial weights, layer1.relu": {"dead_units": 0.0}}
    born = {"layer1.relu": {"dead_units": 0.95}, "initial weights, layer1.relu": {"dead_units": 0.95}}
    assert diagnose(measured({}, born)).first.causes == ("dead-units",)
    assert diagnose(measured({}, born)).first.confidence >= 0.75 > diagnose(measured({}, died)).first.confidence


def test_two_sure_causes_that_have_nothing_in_common_are_both_doubted():
    pairs, embedding = measured({**DRAWN, "batch_with_positive": 0.1}, triplet_weight=1.0), measured({"embedding_dim": 2.0})
    alone = diagnose(pairs).first.confidence
    together = diagnose(_both(pairs, embedding)).findings
    assert {finding.code for finding in together} == {"no-positives", "embedding-too-small"}
    assert all(finding.confidence < 0.75 < alone for finding in together)


def test_a_cause_that_is_sure_comes_before_one_that_is_not_whatever_they_are_about():
    unsure, sure = measured({**DELIVERED, "gradient_delivered_cosine": 0.3}), measured({"embedding_dim": 2.0})
    assert [finding.severity for finding in diagnose(_both(unsure, sure)).findings] == ["optimisation", "pipeline"]


def test_remedies_are_the_cures_of_the_causes_that_measuring_leaves():
    log = make_case(MARKET, cross_entropy=flat(6.72, 0.005), triplet=flat(2.8, 0.03))
    proven = diagnose(dataclasses.replace(log, measurements=measured({**STUCK, "parameters_held": 0.0}).measurements)).first
    assert len(diagnose(log).first.causes) > 1
    assert (proven.causes, proven.remedies) == (("stale-optimizer",), ("fix_optimizer",))


def test_weights_that_were_seen_to_move_refute_what_the_log_suggests():
    log = make_case(MARKET, cross_entropy=flat(6.72, 0.005), triplet=flat(2.8, 0.03))
    moving = dataclasses.replace(log, measurements=measured(MOVES).measurements)
    assert diagnose(log).first.code == "weights-not-updated"
    assert "weights-not-updated" not in {finding.code for finding in diagnose(moving).findings}


@pytest.mark.parametrize(("configured", "remedy"), [(3.5e-4, "repair_rate"), (0.0, "restore_learning_rate")])
def test_a_rate_of_zero_is_repaired_where_it_is_set(configured, remedy):
    case = measured({"highest_rate": 0.0, "optimizer_steps": 6.0}, base_learning_rate=configured)
    assert diagnose(case).first.remedies[0] == remedy
