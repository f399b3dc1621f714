"""Which causes probed rules name: what tells one reading of the same finding from another."""

import pytest

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.causes import PLACES
from unplateau.diagnosis.diagnose import diagnose
from unplateau.runs.record import Measurement

from .made_cases import falling, flat, make_case
from .made_probes import CUT, DELIVERED, MOVES, SCORED, STUCK, measured
from .made_twin_probes import BACK, OTHER_LOSS, output

POOLING, CONV, CLASSIFIER = "evaluation: head.pooling (A)", "training: backbone.conv1 (C)", "training: head.classifier (L)"


def causes(case: Case, code: str) -> tuple[str, ...]:
    """What a finding names beside the part of the training that it is seen in."""
    named = next(finding.causes for finding in diagnose(case).findings if finding.code == code)
    return tuple(cause for cause in named if cause not in PLACES)


def exchanged(where: str) -> Case:
    return measured({}, {where: {"output_differs": 1.3, "rows_exchanged": 0.97}})


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (exchanged(CONV), ("labels-shuffled", "wrong-head")),
        (exchanged(CLASSIFIER), ("wrong-head",)),
        (output(POOLING, zeros=0.3), ("embedding-too-small", "dead-units")),
        (output("evaluation: backbone.relu (R)", zeros=0.3), ("dead-units",)),
        (measured({}, {CONV: {"output_differs": 1.3}, "backbone.layer2": {"modules_unused": 1.0}}),
         ("layers-frozen", "embedding-too-small")),
    ],
)  # fmt: skip
def test_the_first_output_that_differs_says_what_the_model_does(case, expected):
    named = causes(case, "model-not-as-configured")  # where it differs in evaluation alone, that may be the cause too
    assert named[: len(expected)] == expected and set(named) <= {*expected, "evaluation-preprocessing"}


def test_weights_without_a_gradient_that_are_never_called_are_no_cut_branch():
    absent = {"initial weights": {"gradient_absent": 0.98}}
    assert causes(measured({}, absent), "gradient-not-of-losses")[0] == "detached-branch"
    unused = measured({}, {**absent, CONV: {"output_differs": 1.3}, "backbone.layer2": {"modules_unused": 1.0}})
    assert "gradient-not-of-losses" not in {finding.code for finding in diagnose(unused).findings}


@pytest.mark.parametrize(
    ("cosine", "first"), [(0.1, "labels-off-by-one"), (0.9, "labels-off-by-one"), (1.0, "loss-weights-unbalanced")]
)
def test_a_triplet_loss_that_pulls_elsewhere_compares_other_pairs_and_one_that_pulls_harder_has_another_weight(cosine, first):
    named = causes(measured({}, {"triplet": {**OTHER_LOSS, **BACK, "loss_gradient_cosine": cosine}}), "losses-not-as-configured")
    assert named[0] == first
    assert ("triplet-collapse" in named) == (cosine < 1.0)  # mined otherwise


def test_running_statistics_are_multiplied_where_one_factor_holds_for_all_channels():
    apart = {"running_mean_apart": 30.0, "running_std_ratio": 4.0, "running_std_factor": 4.0, "steps_trained": 500.0}
    one = measured({**apart, "running_std_spread": 0.2})
    many = measured({**apart, "running_std_spread": 0.8})
    assert causes(one, "batch-norm-not-updated") == ("stale-weights-evaluated",)
    assert "batch-norm-in-eval" in causes(many, "batch-norm-not-updated")


def test_far_more_cameras_than_people_are_exchanged_ids_and_a_few_more_are_a_small_set():
    exchanged_ids = measured({**SCORED, "evaluation_people": 6.0, "evaluation_cameras": 40.0})
    assert "camera-ids-wrong" in causes(exchanged_ids, "evaluation-broken")
    assert not diagnose(measured({**SCORED, "evaluation_people": 6.0, "evaluation_cameras": 15.0})).is_alarm


def test_images_that_untrained_weights_tell_apart_are_copies_only_where_they_are_learned_by_heart():
    told = {"plain view, initial weights": {"label_agreement": 0.84}, "plain view, colours": {"label_agreement": 0.99}}
    assert causes(measured({"train_identity_gap": 0.9}, told), "copied-images") == ("duplicates",)
    for readings in ({"train_identity_gap": 0.3}, {"train_identity_gap": 0.9, "pretrained_asked": 1.0}):
        assert "copied-images" not in {finding.code for finding in diagnose(measured(readings, told)).findings}


@pytest.mark.parametrize(
    ("kept", "first"), [(0.0, "labels-off-by-one"), (0.4, "labels-off-by-one"), (0.7, "label-smoothing-too-strong")]
)
def test_targets_that_most_images_keep_are_shared_and_others_are_labels_of_others(kept, first):
    targets = {"cross_entropy": {**BACK, "loss_targets_kept": kept, "loss_gradient_cosine": 0.3}}
    assert causes(measured({}, targets), "losses-not-as-configured")[0] == first


@pytest.mark.parametrize(("along", "first"), [("weights", 0.97), ("signs", 0.99), ("weights", 0.2)])
def test_what_is_added_along_the_weights_is_a_penalty(along, first):
    added = {along: {"gradient_added_along": first}}
    named = causes(measured({**DELIVERED, "gradient_delivered_cosine": 0.1}, added), "gradient-not-of-losses")
    assert (named[0] == "weight-decay-too-strong") == (first > 0.9)


@pytest.mark.parametrize(("rows", "fires"), [(1.0, False), (0.8, False), (0.5, True), (0.125, True)])
def test_a_batch_that_goes_through_the_model_in_pieces_is_small(rows, fires):
    codes = {finding.code for finding in diagnose(measured({"rows_in_pass": rows})).findings}
    assert ("batch-too-small" in codes) == fires


def test_a_layer_whose_weights_get_no_gradient_is_passed_by_where_its_output_differs():
    still = {"backbone.conv1": CUT, "backbone.b": MOVES, "head": MOVES, CONV: {"output_differs": 2.0}}
    assert causes(measured(MOVES, still), "model-not-as-configured")[0] == "layers-frozen"


def test_an_optimiser_that_is_young_and_never_missed_a_step_is_made_anew_in_each():
    age = {"updates_over_steps": 0.006, "updates_in_steps": 1.0, "steps_trained": 180.0}
    assert "schedule-never-steps" in causes(measured(age), "updates-are-rare")
    assert "schedule-never-steps" not in causes(measured({**age, "updates_over_steps": 0.4}), "updates-are-rare")


def test_a_triplet_loss_of_zero_is_no_want_of_pairs_where_batches_have_them():
    zero = make_case(measurements=(), cross_entropy=falling(6.7, 3.0), triplet=flat(0.0))
    assert "no-positives" in {finding.code for finding in diagnose(zero).findings}
    seen = (Measurement("batch_with_positive", 1.0), Measurement("loss_configured", 0.8, group="triplet"))
    looked_at = make_case(measurements=seen, cross_entropy=falling(6.7, 3.0), triplet=flat(0.0))
    assert "no-positives" not in {finding.code for finding in diagnose(looked_at).findings}


def test_weights_far_longer_than_configured_hardly_turn():
    longer = measured({"initial_weights_differ": 0.4}, {"backbone.a.weight": {"initial_length": 59.0}})
    shorter = measured({"initial_weights_differ": 0.4}, {"backbone.a.weight": {"initial_length": 1e-4}})
    assert "learning-rate-too-low" in causes(longer, "model-not-as-configured")
    assert "learning-rate-too-low" not in causes(shorter, "model-not-as-configured")


def test_layers_with_a_gradient_stand_still_at_next_to_no_rate_too():
    stuck = {"backbone.a": STUCK, "backbone.b": MOVES, "head": MOVES}
    held = {**MOVES, "parameters_held": 1.0}
    assert causes(measured(MOVES, stuck), "layers-not-trained") == ("stale-optimizer",)
    assert causes(measured(held, stuck), "layers-not-trained") == ("stale-optimizer", "learning-rate-too-low")  # it holds them
    rate = {"rate": {"setting_trained": 1e-6, "setting_configured": 1.0, "setting_differs": 0.9}}
    assert causes(measured(held, {**stuck, **rate}), "layers-not-trained")[0] == "learning-rate-too-low"


@pytest.mark.parametrize("ratio", [1e-5, 0.5])
def test_losses_far_below_the_weight_decay_are_drowned_by_it(ratio):
    named = causes(measured({**DELIVERED, "total_over_parts": ratio}), "total-not-of-losses")
    assert ("weight-decay-too-strong" in named) == (ratio < 1e-3)
