"""PlateauBench: what counts as right, wrong and silent, what a report says, and the baselines on made numbers."""

from dataclasses import asdict, replace

import pytest
from made_stories import SILENT, done, made_story, told, vital

from benchmarks.plateaubench.baselines import BASELINES, auto_trainer, deep_diagnosis, random_choice, sage_maker
from benchmarks.plateaubench.diagnosing import Answer, classes
from benchmarks.plateaubench.fault import fault
from benchmarks.plateaubench.planning import Planned
from benchmarks.plateaubench.repair import recovered, repairs, summary
from benchmarks.plateaubench.report import group, text
from benchmarks.plateaubench.scoring import Case, interval, score


def test_causes_of_one_cure_are_one_class():
    assert classes(("backbone-frozen",)) == classes(("layers-frozen",))
    assert classes(("backbone-frozen",)) != classes(("stale-optimizer",))


def test_a_set_that_holds_the_cause_is_right_and_its_size_is_counted():
    case = Case("x", frozenset({"learning-rate-zero"}), told("stale-optimizer learning-rate-zero"))
    found = score([case])
    assert (found.top1, found.first_word, found.wrong) == (1, 0, 0)
    assert found.classes_named == 2


def test_silence_is_no_error_and_a_wrong_answer_is():
    causes = frozenset({"labels-shuffled"})
    found = score([Case("a", causes, SILENT), Case("b", causes, told("dead-units", "labels-noisy", confidence=0.6))])
    assert (found.detected, found.abstained, found.wrong, found.surely_wrong) == (1, 1, 1, 0)
    assert (found.top1, found.top3) == (0, 1)
    assert found.brier == pytest.approx(0.36)


def test_intervals_hold_the_share():
    low, high = interval(9, 10)
    assert low < 0.9 < high < 1.0


def test_a_fault_that_is_not_below_every_healthy_seed_is_not_counted():
    runs = [done("healthy", "base", 0.5), done("healthy", "base", 0.4), done("healthy", "sgd", 0.2)]
    results = group([*runs, done("fault", "bad", 0.39), done("fault", "mild", 0.41)])
    assert [run.planned.name for run in results.hurt] == ["bad"]
    assert [run.planned.name for run in results.harmless] == ["mild"]


def test_the_report_counts_false_alarms_and_names_them():
    results = group([done("healthy", "base", 0.5, told("dead-units")), done("fault", "bad", 0.1, told("labels-noisy"))])
    report = text(results, title="T", machine="M")
    assert "1 false alarms in 1" in report
    assert "base: a code" in report
    assert "**right**: a code (0.90)" in report


def test_baselines_are_silent_on_healthy_numbers_and_speak_on_theirs():
    healthy = asdict(replace(made_story(), vitals=[vital()] * 3))
    assert not any(ask(healthy).is_alarm for ask in BASELINES.values())
    stuck = {**healthy, "vitals": [vital(unchanged_tensors=9, update_low=0.0)]}
    assert sage_maker(stuck).codes == ("tensor unchanged", "rate too low")
    assert "tensor unchanged" in deep_diagnosis(stuck).codes
    assert auto_trainer({**healthy, "vitals": [vital(zero_gradients=0.9)]}).codes == ("dying ReLU",)


def test_the_first_baseline_leaves_accurate_models_alone():
    accurate = asdict(made_story())
    accurate["log"] = [{**line, "accuracy": 0.9} for line in accurate["log"]]
    accurate["vitals"] = [vital(zero_gradients=0.9)]
    assert not auto_trainer(accurate).is_alarm


def test_a_random_choice_is_right_as_often_as_there_are_classes():
    assert 0.02 < random_choice() < 0.04


def test_a_remedy_that_is_the_cure_by_hand_counts_apart_and_a_configuration_is_to_be_trained():
    answer = Answer(True, (("stale-optimizer",),), 0.99, ("weights-not-updated",), ("fix_optimizer", "restore_learning_rate"))
    run_of_fault = replace(done("fault", "stale", 0.1, answer))
    planted = fault("stale", "stale-optimizer", lambda experiment: None)
    by_hand, by_file = repairs(replace(run_of_fault, planned=Planned("fault", "stale", 1, planted)))
    assert by_hand.is_cure_by_hand and by_hand.planned is None
    assert not by_file.is_cure_by_hand and by_file.planned.healthy.changes == {"SOLVER.BASE_LR": 3.5e-4}
    assert recovered(run_of_fault, 0.5, 0.5) == pytest.approx(1.0)
    assert recovered(run_of_fault, 0.5, 0.1) == 0.0
    report = summary([(by_hand, None), (by_file, 0.95)], 1)
    assert "Repaired in all: 1/1" in report
    assert "restore_learning_rate | 95%" in report
