"""Which of the possible causes a rule names, and where it keeps silent: what tells causes apart. Firing: `test_rules`."""

import dataclasses

import numpy as np

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.diagnose import diagnose
from unplateau.runs.foreign_logs.training_log import LogFacts
from unplateau.runs.record import Measurement

from .made_cases import MARKET, falling, flat, healthy, make_case, stalled
from .test_rules import FIRING, LEARNS, LINEAR, PLANNED, summed


def test_measured_stillness_with_gradients_is_the_optimisers_doing():
    first = diagnose(FIRING["weights-not-updated   "]).first
    assert first is not None
    assert first.causes[0] == "stale-optimizer"
    assert "everything-frozen" not in first.causes


TRIPLET_LEARNS = {"cross_entropy": flat(6.72, 0.005), "triplet": falling(2.8, 0.3)}


def _causes_of_an_untrained_classifier(**curves) -> tuple[str, ...]:
    findings = {finding.code: finding for finding in diagnose(make_case(**TRIPLET_LEARNS, **curves)).findings}
    return findings["classifier-not-trained"].causes


def test_a_classifier_at_chance_on_features_that_improve_is_not_trained():
    causes = _causes_of_an_untrained_classifier(accuracy=flat(0.0013, 0.0002), mAP=falling(0.02, 0.3, noise=0.002))
    assert causes[0] == "cross-entropy-missing"


def test_a_classifier_at_chance_on_features_that_do_not_improve_has_nothing_to_learn():
    first = diagnose(make_case(**TRIPLET_LEARNS, accuracy=flat(0.0013, 0.0002), mAP=flat(0.02, 0.0005))).first
    assert first is not None
    assert (first.code, first.causes[0]) == ("nothing-to-learn", "labels-shuffled")


def test_a_classifier_that_is_right_with_a_flat_loss_sees_squeezed_logits():
    causes = _causes_of_an_untrained_classifier(accuracy=falling(0.0, 0.5), mAP=falling(0.02, 0.09, noise=0.001))
    assert causes[0] == "softmax-before-ce"


def test_a_collapse_at_a_known_high_rate_is_the_rates_doing():
    case = make_case(
        cross_entropy=flat(6.66, 0.03), triplet=falling(2.0, 0.3, 1, 0.001), mAP=flat(0.002, 0.0002), learning_rate=flat(0.02)
    )
    first = diagnose(case).first
    assert first is not None
    assert (first.code, first.causes[0]) == ("collapsed-embeddings", "learning-rate-too-high")


def test_untrained_features_may_solve_a_tiny_set():
    tiny = LogFacts(num_identities=18, chance_map=0.25)
    case = make_case(tiny, epochs=range(1, 4), cross_entropy=[2.9, 2.8, 2.6], mAP=[0.99, 0.99, 1.0])
    assert not diagnose(case).is_alarm


def test_three_epochs_are_too_early_and_not_an_unknown_cause():
    first = diagnose(make_case(epochs=range(1, 4), cross_entropy=[6.7, 6.5, 6.2], triplet=[2.8, 2.0, 1.5])).first
    assert first is not None
    assert (first.code, first.title) == ("undecided", "Too early to say")


def test_a_run_that_ends_while_it_improves_is_not_called_finished():
    facts = dataclasses.replace(MARKET, max_epochs=30)
    first = diagnose(healthy(facts=facts, curves={"mAP": lambda x: 0.02 * x})).first
    assert first is not None
    assert first.title == "The run is over and was still improving"


def test_a_rate_far_below_the_configured_one_explains_what_stands_still():
    curves = {"cross_entropy": flat(6.722, 0.003), "triplet": falling(2.8, 1.5), "accuracy": falling(0.0, 0.6)}
    with_rate = make_case(PLANNED, learning_rate=flat(1e-6), **curves)
    codes = [finding.code for finding in diagnose(with_rate).findings]
    assert codes[0] == "rate-not-as-configured"
    assert not {"classifier-not-trained", "softmax-before-ce", "weights-not-updated"} & set(codes)


def test_a_weight_of_zero_names_the_missing_cross_entropy():
    first = diagnose(summed(0.0, 1.0)).first
    assert first is not None
    assert first.causes[0] == "cross-entropy-missing"


def test_parts_that_do_not_explain_the_total_say_nothing_of_weights():
    generator = np.random.default_rng(0)
    case = make_case(PLANNED, total=9.0 + generator.standard_normal(30), **LEARNS)
    assert "loss-weights-not-as-configured" not in {finding.code for finding in diagnose(case).findings}


def test_a_large_gap_to_trained_identities_is_a_note():
    gap = tuple(Measurement(f"map_of_{who}_identities", value) for who, value in (("trained", 0.98), ("unseen", 0.3)))
    diagnosis = diagnose(Case(measurements=(*gap, Measurement("train_identity_gap", 0.68))))
    assert not diagnosis.is_alarm and diagnosis.first is not None and diagnosis.first.code == "overfitting"


def test_a_loss_on_its_way_down_is_not_called_bounded():
    case = make_case(
        LINEAR, cross_entropy=falling(6.72, 5.9, 8), accuracy=falling(0.0, 0.25, noise=0.003), triplet=falling(2.8, 0.8),
        mAP=falling(0.02, 0.3, noise=0.003), learning_rate=flat(3.5e-4),
    )  # fmt: skip
    assert "softmax-before-ce" not in {finding.code for finding in diagnose(case).findings}


def test_causes_that_another_measurement_rules_out_are_left_out():
    log = stalled()
    live = {"tensors_moved": 0.0, "measured_updates": 5.0, "unmoved_with_gradient": 0.0, "optimizer_steps": 5.0}
    both = dataclasses.replace(log, measurements=tuple(Measurement(name, value) for name, value in live.items()))
    (first,) = [finding for finding in diagnose(both).findings if finding.code == "weights-not-updated"]
    assert first.causes == ("no-gradient", "stale-optimizer")  # neither frozen nor at a rate of 0


def test_a_classifier_that_learns_slowly_on_frozen_features_is_still_only_the_head():
    case = make_case(MARKET, cross_entropy=falling(6.72, 6.2, 10, 0.02), triplet=flat(2.8, 0.05), mAP=flat(0.02, 0.0005))
    assert "only-head-trained" in {finding.code for finding in diagnose(case).findings}


def test_nothing_is_said_of_a_classifier_where_the_features_do_not_learn_either():
    case = make_case(cross_entropy=flat(6.65, 0.005), triplet=falling(3.0, 1.5), mAP=flat(0.02, 0.0005))
    assert "classifier-not-trained" not in {finding.code for finding in diagnose(case).findings}
