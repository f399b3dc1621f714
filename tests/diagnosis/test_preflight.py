"""What preflight measured, judged: where each finding fires, and where it must stay silent."""

from dataclasses import replace

import pytest

from unplateau.diagnosis.preflight import judge_preflight
from unplateau.runs.record import Measurement

HEALTHY = {
    "label_lowest": 0.0, "label_highest": 15.0, "num_identities": 16.0, "anchors_with_positive": 1.0, "identities_in_batch": 4.0,
    "input_mean": 0.2, "input_std": 1.0, "inputs_finite": 1.0, "initial_cross_entropy": 2.773,
    "initial_cross_entropy_expected": 2.773, "initial_cross_entropy_spread": 0.001, "peak_rate": 3.5e-4,
    "trainable_tensors": 20.0, "optimizer_state_tensors": 20.0, "optimizer_keeps_state": 1.0, "logits_lowest": -0.1,
    "logits_row_sum_from_1": 0.9,
}  # fmt: skip
MOVING = (
    Measurement("weight_motion", 1e-3, group="backbone.stem"), Measurement("gradient_norm", 1.0, group="backbone.stem"),
    Measurement("weight_motion", 1e-2, group="classifier"), Measurement("gradient_norm", 2.0, group="classifier"),
)  # fmt: skip


def _codes(*motion: Measurement, needs_positives: bool = True, **changes: float) -> list[str]:
    plain = tuple(Measurement(name, value) for name, value in {**HEALTHY, **changes}.items())
    return [finding.code for finding in judge_preflight((*plain, *(motion or MOVING)), needs_positives=needs_positives)]


def test_a_healthy_start_gives_nothing() -> None:
    assert _codes() == []


def test_nothing_measured_gives_nothing() -> None:
    assert judge_preflight((), needs_positives=True) == ()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"input_mean": 114.0, "input_std": 58.0}, "inputs-not-normalised"),
        ({"input_mean": 2.1, "input_std": 0.004}, "blank-inputs"),
        ({"inputs_finite": 0.0}, "inputs-not-normalised"),
        ({"input_mean": float("nan"), "input_std": float("nan"), "inputs_finite": 0.0}, "inputs-not-normalised"),
        ({"label_highest": 16.0}, "labels-out-of-range"),
        ({"label_lowest": -1.0}, "labels-out-of-range"),
        ({"peak_rate": 0.0}, "learning-rate-zero"),
        ({"hidden_leaves": 0.6}, "layers-not-trained"),
        ({"trainable_tensors": 0.0}, "weights-not-updated"),
        ({"anchors_with_positive": 0.0}, "no-positives"),
        ({"identities_in_batch": 1.0}, "no-negatives"),
        ({"logits_lowest": 0.01, "logits_row_sum_from_1": 1e-6}, "softmax-before-ce"),
        ({"initial_cross_entropy": 6.62}, "initial-loss-off"),
        ({"initial_cross_entropy": float("nan")}, "initial-loss-off"),
    ],
)
def test_each_fault_has_its_finding(changes: dict[str, float], code: str) -> None:
    assert _codes(**changes) == [code]


def test_images_of_night_or_of_one_colour_pass() -> None:
    assert _codes(input_mean=2.1, input_std=0.1) == []


def test_positives_are_asked_for_only_where_a_loss_needs_them() -> None:
    assert _codes(anchors_with_positive=0.0, identities_in_batch=1.0, needs_positives=False) == []


def test_weights_that_stay_with_gradients_name_the_optimiser() -> None:
    still = tuple(replace(m, value=0.0) if m.name == "weight_motion" else m for m in MOVING)
    plain = tuple(Measurement(name, value) for name, value in {**HEALTHY, "optimizer_state_tensors": 0.0}.items())
    finding = judge_preflight((*plain, *still), needs_positives=True)[0]
    assert (finding.code, finding.causes) == ("weights-not-updated", ("stale-optimizer",))
    assert finding.title == "The optimiser does not touch the weights"
    assert len(finding.evidence) == 4  # two groups, their gradients, the empty state


def test_one_group_that_stays_without_gradient_is_named() -> None:
    still = (replace(MOVING[0], value=0.0), replace(MOVING[1], value=0.0), *MOVING[2:])
    plain = tuple(Measurement(name, value) for name, value in HEALTHY.items())
    finding = judge_preflight((*plain, *still), needs_positives=True)[0]
    assert finding.title == "Not trained: backbone.stem"
    assert "detached-branch" in finding.causes
