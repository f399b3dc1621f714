"""Rules on measurements: where each fires, that it comes first, and that healthy numbers give no alarm."""

import pytest

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.causes import BY_CODE
from unplateau.diagnosis.diagnose import diagnose
from unplateau.diagnosis.explain import page
from unplateau.diagnosis.rules.probed_table import PROBE_RULES
from unplateau.diagnosis.verdict import SEVERITIES, Abstained
from unplateau.runs.record import Finding
from unplateau.solutions.catalogue import BY_NAME

from .made_probes import MOVES, PROBED_FIRING, PROBED_HEALTHY, STUCK, measured
from .made_twin_probes import TWIN_FIRING, TWIN_HEALTHY

FIRING, HEALTHY = PROBED_FIRING | TWIN_FIRING, PROBED_HEALTHY | TWIN_HEALTHY


@pytest.mark.parametrize("code", FIRING)
def test_what_was_planted_comes_first(code):
    first = diagnose(FIRING[code]).first
    assert first is not None
    assert first.code == code.strip()


@pytest.mark.parametrize("name", HEALTHY)
def test_no_alarm_on_healthy_numbers(name):
    diagnosis = diagnose(HEALTHY[name])
    assert not diagnosis.is_alarm, [(finding.code, finding.confidence) for finding in diagnosis.findings]


def test_every_code_has_a_firing_case():
    assert {rule.code for rule in PROBE_RULES} <= {code.strip() for code in FIRING}


@pytest.mark.parametrize("code", FIRING)
def test_findings_keep_their_contract(code):
    for finding in diagnose(FIRING[code]).findings:
        assert finding.severity in SEVERITIES
        assert 0 < finding.confidence <= 1
        assert finding.evidence and finding.next_test
        assert set(finding.causes) <= set(BY_CODE)
        assert set(finding.remedies) <= set(BY_NAME), finding.code


@pytest.mark.parametrize("rule", PROBE_RULES, ids=lambda rule: f"{rule.code}:{rule.judge.__name__}")
def test_every_rule_abstains_or_is_silent_without_measurements_and_has_a_page(rule):
    for case in [*FIRING.values(), *HEALTHY.values()]:
        assert rule.judge(case) is None or isinstance(rule.judge(case), (Finding, Abstained))
    assert rule.judge(Case()) is None
    for part in ("What it is", "Why it happens", "How it was seen", "What to do", "Source"):
        assert part in page(rule.code)


def test_a_stale_optimiser_is_named_as_the_only_cause_where_gradients_were_seen():
    first = diagnose(measured({**STUCK, "parameters_held": 0.0})).first
    assert first is not None
    assert first.causes == ("stale-optimizer",)
    assert first.confidence > 0.98


def test_leftover_layers_without_gradient_are_a_note_and_layers_the_optimiser_misses_an_alarm():
    cut = measured(MOVES, {"backbone.a": {**MOVES, "tensors_moved": 0.0}, "backbone.b": MOVES, "head": MOVES})
    stuck = measured(MOVES, {"backbone.a": STUCK, "backbone.b": MOVES, "head": MOVES})
    assert [finding.severity for finding in diagnose(cut).findings] == ["info"]
    assert [finding.severity for finding in diagnose(stuck).findings] == ["optimisation"]
