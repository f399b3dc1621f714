"""Cases of which little is known: no number of identities, or only a message."""

import dataclasses

import numpy as np
import pytest

from unplateau.curves.landmarks import cross_entropy_at_start
from unplateau.diagnosis.case import Case
from unplateau.diagnosis.diagnose import diagnose
from unplateau.diagnosis.landmarks_of import guessed_starts
from unplateau.runs.foreign_logs.training_log import LogFacts

from .made_cases import falling, flat, make_case, pair, stalled

NOTHING = LogFacts()
MESSAGE = ("no-inf-checks",)


def test_the_asked_numbers_without_their_identities_are_guessed_to_be_market_and_the_number_is_asked_for():
    diagnosis = diagnose(stalled(facts=NOTHING))
    first = diagnosis.first
    assert first is not None
    assert first.code == "weights-not-updated"
    assert first.title.startswith("If this is Market-1501")
    assert "751 identities" in first.evidence[0].statement
    assert first.evidence[0].landmark == pytest.approx(6.724, abs=5e-4)
    assert "--num-identities" in diagnosis.missing


def test_a_guess_is_less_sure_than_a_known_number():
    guessed, known = (diagnose(stalled(facts=facts)).first for facts in (NOTHING, LogFacts(num_identities=751)))
    assert guessed is not None
    assert known is not None
    assert 0.5 <= guessed.confidence < known.confidence


@pytest.mark.parametrize(("name", "identities"), [("DukeMTMC-reID", 702), ("MSMT17", 1041), ("VehicleID", 13_164)])
def test_other_published_sets_are_recognised_by_the_start_of_fast_reids_head(name, identities):
    level = cross_entropy_at_start(identities, 2048, 0.01).mean
    case = make_case(NOTHING, cross_entropy=flat(level, 0.002), triplet=flat(2.8, 0.05))
    assert name in {guess[0] for guess in guessed_starts(case, case.curve("cross_entropy"))}


def test_numbers_that_are_too_close_to_tell_apart_are_all_named():
    first = diagnose(stalled(facts=NOTHING)).first
    assert first is not None
    assert "CUHK03" in first.evidence[0].statement


@pytest.mark.parametrize(
    "curves",
    [
        {"triplet": falling(2.8, 0.3)},
        {"triplet": flat(0.3, 0.002)},
        {"triplet": flat(2.8, 0.03), "mAP": flat(0.4, 0.01)},
        {"triplet": flat(2.8, 0.03), "accuracy": flat(0.4, 0.01)},
        {"triplet": flat(2.8, 0.03), "cross_entropy": falling(6.75, 6.3)},
        {"triplet": flat(2.8, 0.03), "cross_entropy": flat(4.0, 0.01)},
    ],
    ids=["triplet learns", "collapsed", "mAP is high", "classifier is right", "loss falls", "at no start"],
)
def test_nothing_is_guessed_where_the_log_speaks_against_it(curves):
    case = make_case(NOTHING, **{"cross_entropy": flat(6.72, 0.005), **curves})
    assert "weights-not-updated" not in {finding.code for finding in diagnose(case).findings}


def test_a_log_that_begins_late_may_begin_on_a_plateau_and_is_not_guessed_about():
    case = make_case(NOTHING, epochs=range(40, 70), cross_entropy=flat(6.72, 0.005), triplet=flat(2.8, 0.03))
    assert "weights-not-updated" not in {finding.code for finding in diagnose(case).findings}


def test_the_message_of_the_scaler_alone_names_the_stale_optimiser_and_the_proof():
    first = diagnose(Case(symptoms=MESSAGE)).first
    assert first is not None
    assert (first.code, first.causes[0], first.severity) == ("weights-not-updated", "stale-optimizer", "pipeline")
    assert "--checkpoints A B" in first.next_test


def test_moved_weights_or_a_learning_log_refute_the_message():
    moved = Case(symptoms=MESSAGE, measurements=pair({"": (1e-2, 0.0), "backbone": (1e-2, 0.0)}))
    learning = make_case(symptoms=MESSAGE, total=falling(9.5, 1.5), mAP=falling(0.02, 0.6))
    for case in (moved, learning):
        assert "weights-not-updated" not in {finding.code for finding in diagnose(case).findings}


@pytest.mark.parametrize("seed", range(20))
def test_no_alarm_at_any_length_of_healthy_runs_of_which_nothing_is_known(seed):
    generator = np.random.default_rng(seed)
    start, scale = generator.uniform(6.5, 7.0), generator.uniform(2, 15)
    facts = dataclasses.replace(NOTHING, margin=float(generator.choice([0.0, 0.3])))
    case = make_case(
        facts, epochs=range(1, int(generator.integers(2, 60))), triplet=falling(generator.uniform(1, 4), 0.2, scale, 0.03),
        cross_entropy=falling(start, generator.uniform(0.5, 2), scale, generator.uniform(0.005, 0.1), seed=seed),
    )  # fmt: skip
    diagnosis = diagnose(case)
    assert not diagnosis.is_pipeline_broken, [(finding.code, finding.confidence) for finding in diagnosis.findings]
