"""A gradient that is not the slope of the model: what is named, how sure, and beside what else is known of the model."""

import pytest

from unplateau.diagnosis.diagnose import diagnose
from unplateau.diagnosis.rules import numeric_gradient_measured
from unplateau.runs.record import Finding

from .made_probes import measured
from .made_twin_probes import SILENT, TWIN_FIRING, sloped


def finding(case) -> Finding:
    """What the rule says by itself, however sure its record lets it be."""
    found = numeric_gradient_measured.judge(case)
    assert isinstance(found, Finding)
    return found


def test_it_comes_before_a_module_that_is_not_configured_and_says_nothing_of_that_ones_causes():
    first = diagnose(TWIN_FIRING["gradient-not-of-model "]).first
    assert first is not None
    assert (first.code, first.causes) == ("gradient-not-of-model", ("detached-branch", "no-gradient", "wrong-model"))
    assert first.remedies[0] == "restore_gradient"
    assert finding(TWIN_FIRING["gradient-not-of-model "]).confidence == 0.85


def test_weights_without_a_gradient_that_change_the_outputs_are_cut_off():
    found = finding(measured({"slope_apart": 1.0}, {"backbone.a": SILENT, "neck": {"slope_along_gradient": 1.0}}))
    assert found.confidence == 0.85
    assert [line.statement.partition(":")[0] for line in found.evidence[1:]] == ["backbone.a"]
    assert "gradient-not-of-model" not in codes(measured({"slope_apart": 0.1}, {"neck": {"slope_without_gradient": 1e-4}}))


def test_a_smaller_difference_is_less_sure():
    assert finding(sloped(a=0.25)).confidence < finding(sloped(a=0.0)).confidence == 0.85


@pytest.mark.parametrize("ratio", [0.5, 0.8, 1.0, 1.6])
def test_a_gradient_along_which_outputs_rise_about_as_promised_is_a_possible_cut_alone(ratio):
    """MixStyle and batch renormalisation stop gradients through their statistics, as published."""
    diagnosis = diagnose(sloped(a=ratio))
    assert finding(sloped(a=ratio)).confidence == 0.4
    assert not diagnosis.is_alarm


def test_a_gradient_that_points_elsewhere_is_sure_whatever_it_promises_along_itself():
    turned = {"slope_apart": 0.1, "slope_cosine": 0.2}
    assert finding(measured(turned, {"a": {"slope_along_gradient": 0.9}})).confidence == 0.85
    assert finding(measured({**turned, "slope_apart": 1.2, "slope_cosine": 0.4}, {})).confidence == 0.4


def test_a_doubtful_cut_in_a_model_that_somebody_changed_is_likelier_than_what_the_change_may_mean_otherwise():
    added = {"backbone.attention: Conv2d not configured": {"modules_differ": 1.0}}
    first = diagnose(measured({"slope_apart": 0.4, "slope_cosine": 0.6}, added)).first
    assert first is not None
    assert (first.code, first.confidence) == ("gradient-not-of-model", 0.65)


def test_weights_the_training_began_with_may_show_a_cut_that_trained_ones_hide():
    hidden = measured({"slope_apart": 0.4, "slope_cosine": 0.6}, {"initial weights": {"slope_cosine": 0.15}})
    assert finding(hidden).confidence == 0.85


def test_one_large_factor_missing_from_all_layers_is_shrunk_as_well_as_cut():
    assert "gradient-clipped-away" in finding(sloped(a=1000.0, b=1001.0)).causes
    for ratios in ({"a": 0.0, "b": 0.0}, {"a": 1000.0, "b": 50.0}, {"a": 4.0, "b": 4.0}, {"a": 1000.0}):
        assert "gradient-clipped-away" not in finding(sloped(**ratios)).causes


def test_layers_that_agree_are_not_named_and_many_that_differ_are_counted():
    texts = [line.statement for line in finding(sloped(**{f"layer{n}": 0.0 for n in range(9)}, neck=1.0)).evidence]
    assert len(texts) == 8 and texts[-1] == "and so 3 more layer groups"
    assert not any("neck" in text for text in texts)


def test_a_dead_way_back_is_named_whichever_probe_comes_first():
    dead = {"output_differs": 0.0, "model_gradient_gone": 0.4, "model_gradient_ratio": 0.7, "model_gradient_cosine": 0.7}
    first = diagnose(measured(dead, {"backbone.a": SILENT})).first
    assert first is not None
    assert first.code in ("gradient-not-of-losses", "gradient-not-of-model")
    assert set(first.causes) & {"detached-branch", "no-gradient"}


def test_what_was_put_into_the_model_and_is_understood_may_stop_gradients_of_its_own():
    where = "training: backbone.layers.0.1 (BatchNorm2d)"
    noisy = {"output_differs": 0.8, "output_zeros": 0.0, "output_random": 0.7, "output_rank": 1.0}
    case = measured({"output_differs": 0.8, "slope_apart": 1.2}, {where: noisy, "backbone.a": {"slope_along_gradient": -0.1}})
    first, second = diagnose(case).findings[:2]
    assert (first.code, second.code) == ("model-not-as-configured", "gradient-not-of-model")
    assert "augmentation-too-strong" in first.causes


@pytest.mark.parametrize("apart", [1e-9, 0.05, 0.19])
def test_nothing_is_said_of_small_differences(apart):
    assert "gradient-not-of-model" not in codes(measured({"slope_apart": apart}, {"a": {"slope_along_gradient": 1 - apart}}))


def codes(case):
    return {found.code for found in diagnose(case).findings}
