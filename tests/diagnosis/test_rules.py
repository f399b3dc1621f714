"""Every rule: where it fires, and that none of them fires on what is healthy. The contract of rules at the end."""

import ast
import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

import unplateau.diagnosis
from unplateau.diagnosis.case import Case
from unplateau.diagnosis.causes import BY_CODE
from unplateau.diagnosis.diagnose import diagnose
from unplateau.diagnosis.explain import finding_codes, page
from unplateau.diagnosis.rules.probed_table import PROBE_RULES
from unplateau.diagnosis.rules.table import RULES
from unplateau.diagnosis.verdict import SEVERITIES, Abstained
from unplateau.runs.foreign_logs.training_log import LogFacts
from unplateau.runs.record import Finding
from unplateau.solutions.catalogue import BY_NAME

from .made_cases import MARKET, falling, flat, healthy, make_case, pair, stalled

SOFT = dataclasses.replace(MARKET, margin=0.0)
COSINE = dataclasses.replace(MARKET, classifier="CosineLinear", cosine_scale=1.0, initial_std=None)
LINEAR = dataclasses.replace(MARKET, classifier="Linear")
TRAINED = {"triplet": falling(2.8, 0.2), "mAP": falling(0.02, 0.5, noise=0.002)}
LAYERS = {"": (1e-2, 0.3), "backbone.a": (1e-2, 0.0), "backbone.b": (1e-2, 0.0), "heads": (0.1, 0.0)}

PLANNED = dataclasses.replace(MARKET, base_learning_rate=3.5e-4, milestones=(20.0,), cross_entropy_weight=1.0, triplet_weight=1.0)
LEARNS = {"cross_entropy": falling(6.72, 3.0), "triplet": falling(2.8, 0.5)}


def summed(cross_entropy: float, triplet: float, facts: LogFacts = PLANNED) -> Case:
    """A healthy log whose total is the sum of its parts with these weights, rounded as logs are."""
    parts = {"cross_entropy": falling(6.72, 3.0), "triplet": falling(2.8, 0.5, 4.0)}

    def total(x):  # fmt: skip
        return np.round(cross_entropy * parts["cross_entropy"](x) + triplet * parts["triplet"](x), 3)

    return make_case(facts, total=total, learning_rate=flat(3.5e-4), epochs=range(1, 16), **parts)


FIRING: dict[str, Case] = {
    "weights-not-updated": stalled(),
    "weights-not-updated ": Case(measurements=pair({"": (0.0, 1.0), "backbone": (0.0, 1.0)}, buffers=0.0)),
    "weights-not-updated  ": stalled(facts=dataclasses.replace(MARKET, label_smoothing=0.1)),
    "weights-not-updated   ": make_case(total=flat(9.5, 0.5), weight_motion=flat(0.0), gradient_norm=flat(3.0, 0.1)),
    "only-head-trained": make_case(cross_entropy=falling(6.72, 3.0), triplet=flat(2.8, 0.03)),
    "only-head-trained ": Case(measurements=pair({"": (0.1, 0.9), "backbone.a": (0.0, 1.0), "heads": (0.3, 0.0)})),
    "layers-not-trained": Case(measurements=pair({**LAYERS, "backbone.b": (0.0, 1.0)})),
    "weights-barely-move": Case(measurements=pair({"": (1e-8, 0.1), "backbone": (1e-8, 0.0)})),
    "diverged": make_case(cross_entropy=[6.7, 6.5, float("nan"), float("nan")], epochs=range(1, 5)),
    "diverged ": Case(measurements=pair({"": (float("nan"), 0.0), "backbone": (float("nan"), 0.0)})),
    "classifier-not-trained": make_case(cross_entropy=flat(6.72, 0.005), triplet=falling(2.8, 0.3)),
    "nothing-learned": make_case(total=flat(9.53, 0.02), accuracy=flat(0.0013, 0.0005)),
    "no-positives": make_case(cross_entropy=falling(6.7, 3.0), triplet=flat(0.0)),
    "labels-out-of-range": Case(symptoms=("label-out-of-range",)),
    "softmax-before-ce": make_case(LINEAR, cross_entropy=falling(6.6, 5.7), accuracy=falling(0.0, 0.9), **TRAINED),
    "missing-cosine-scale": make_case(COSINE, cross_entropy=falling(6.6, 5.7)),
    "evaluation-broken": healthy(curves={"mAP": flat(0.004, 0.0005)}),
    "evaluation-broken ": healthy(curves={"mAP": flat(0.0212)}),
    "evaluation-broken  ": healthy(curves={"mAP": flat(0.99, 0.001)}),
    "collapsed-embeddings": make_case(cross_entropy=flat(6.66, 0.03), triplet=flat(0.3, 0.001), mAP=flat(0.002, 0.0002)),
    "collapsed-embeddings ": make_case(SOFT, triplet=flat(0.694, 0.002), mAP=flat(0.002, 0.0002)),
    "uniform-logits": make_case(cross_entropy=falling(6.72, 6.621, 1.5, 0.001), triplet=flat(0.9, 0.2)),
    "learning-rate-too-high": make_case(cross_entropy=falling(6.8, 9.0, noise=0.1), learning_rate=flat(0.01)),
    "fitting-noise": make_case(cross_entropy=flat(7.2, 0.03), learning_rate=flat(0.00035)),
    "learning-rate-too-low": make_case(
        cross_entropy=lambda x: 6.72 - 0.006 * x, triplet=falling(2.8, 2.0, 30), learning_rate=flat(3.5e-6)
    ),
    "learning-rate-exhausted": make_case(
        cross_entropy=falling(6.72, 5.0, 2), learning_rate=lambda x: np.where(x < 3, 3.5e-4, 3.5e-6)
    ),
    "learning-rate-exhausted ": make_case(
        PLANNED, learning_rate=lambda x: np.where(x < 6, 3.5e-4, 3.5e-5), epochs=range(1, 16), **LEARNS
    ),
    "rate-not-as-configured": make_case(
        PLANNED, learning_rate=flat(7e-6), cross_entropy=lambda x: 6.72 - 0.01 * x, triplet=falling(2.8, 2.5)
    ),
    "rate-not-as-configured ": make_case(PLANNED, learning_rate=flat(1e-2), cross_entropy=flat(6.5, 0.1)),
    "loss-weights-not-as-configured": summed(1.0, 100.0),
    "loss-weights-not-as-configured ": summed(0.0, 1.0),
    "loss-weights-not-as-configured  ": make_case(PLANNED, total=flat(900.0, 9.0), **LEARNS),
    "settings-unusual": make_case(
        dataclasses.replace(MARKET, settings={"SOLVER.OPT": "SGD", "SOLVER.BASE_LR": 1e-4}), cross_entropy=falling(6.72, 6.0)
    ),
    "weights-lost": healthy(
        curves={"cross_entropy": lambda x: np.where(x < 20, 6.7 - 0.2 * x, 6.7), "mAP": lambda x: np.where(x < 20, x / 30, 0.02)}
    ),
    "batch-norm-not-updated": Case(measurements=pair({"": (0.1, 0.0), "backbone": (0.1, 0.0)}, buffers=1.0)),
    "nothing-to-learn": make_case(
        cross_entropy=flat(6.72, 0.01), triplet=falling(2.8, 0.33, 2, 0.002), mAP=flat(0.02, 0.001), learning_rate=flat(3.5e-4)
    ),
    "steps-too-small": make_case(
        cross_entropy=flat(6.72, 0.004), triplet=falling(3.0, 1.6), mAP=falling(0.02, 0.024, noise=2e-4),
        learning_rate=flat(3.5e-4),
    ),  # fmt: skip
    "schedule-never-steps": make_case(
        dataclasses.replace(MARKET, milestones=(15.0,)), cross_entropy=falling(6.7, 2.0), learning_rate=flat(3.5e-4)
    ),
    "pretrained-not-loaded": Case(symptoms=("weights-not-loaded",)),
    "overfitting": healthy(curves={"mAP": lambda x: 0.5 - 0.006 * np.abs(x - 10)}),
    "triplet-solved": healthy(curves={"triplet": falling(2.8, 0.0, 3, 0.0)}),
    "still-improving": healthy(),
    "in-warm-up": healthy(curves={"learning_rate": lambda x: 1e-5 * x}),
    "before-drop": healthy(
        facts=dataclasses.replace(MARKET, milestones=(40.0,)), curves={"mAP": lambda x: 0.4 * (1 - np.exp(-x / 1.5))}
    ),
    "finished": healthy(
        facts=dataclasses.replace(MARKET, max_epochs=30, label_smoothing=0.1), curves={"mAP": falling(0.02, 0.8, 2, 0.003)}
    ),
    "plateau": make_case(
        MARKET, cross_entropy=falling(6.7, 3.5, 2, 0.01), triplet=falling(2.8, 0.6, 2), mAP=falling(0.02, 0.3, 2, 0.001),
        epochs=range(1, 61), learning_rate=flat(3.5e-4),
    ),
    "unknown": make_case(LogFacts(), cross_entropy=flat(4.0, 0.01)),
}  # fmt: skip


@pytest.mark.parametrize("code", FIRING)
def test_the_rule_fires_where_it_should(code):
    found = {finding.code for finding in diagnose(FIRING[code]).findings}
    assert code.strip() in found


@pytest.mark.parametrize("code", [code for code in FIRING if code.strip() not in ("unknown", "undecided")])
def test_what_was_planted_comes_first_or_is_as_severe_as_what_does(code):
    diagnosis = diagnose(FIRING[code])
    place = [finding.code for finding in diagnosis.findings].index(code.strip())
    assert place == 0 or (place == 1 and diagnosis.findings[0].severity in ("pipeline", "optimisation"))


def test_every_code_that_a_log_or_two_checkpoints_can_give_has_a_firing_case():
    judged = {rule.code for rule in RULES if rule not in PROBE_RULES}
    assert judged <= {code.strip() for code in FIRING}


HEALTHY = {
    "learning": healthy(),
    "learning with soft margin": healthy(facts=SOFT),
    "small batch": healthy(curves={"cross_entropy": falling(6.72, 1.2, noise=0.15), "triplet": falling(2.8, 0.3, noise=0.1)}),
    "first epochs": healthy(epochs=range(1, 4)),
    "one epoch": healthy(epochs=range(1, 2)),
    "at the smoothing floor": make_case(
        dataclasses.replace(MARKET, label_smoothing=0.1, max_epochs=60), epochs=range(1, 61),
        cross_entropy=falling(6.72, 0.99, 5, 0.003), triplet=falling(2.8, 0.02, 5, 0.001), mAP=falling(0.02, 0.85, 5, 0.002),
    ),
    "flat before its drop": FIRING["before-drop"],
    "triplet passing its margin": healthy(curves={"triplet": falling(0.9, 0.25, 6)}),
    "soft triplet at .7 that learns": make_case(
        SOFT, triplet=flat(0.72, 0.03), mAP=falling(0.02, 0.35, 6), cross_entropy=falling(6.7, 3.0)
    ),
    "slow but sure": make_case(
        cross_entropy=lambda x: 6.72 - 0.03 * x, learning_rate=flat(3.5e-4), triplet=falling(2.8, 1.0, 20)
    ),
    "after a milestone": healthy(
        facts=dataclasses.replace(MARKET, milestones=(20.0,)),
        curves={"learning_rate": lambda x: np.where(x < 20, 3.5e-4, 3.5e-5)},
    ),
    "a spike": healthy(curves={"cross_entropy": [*np.linspace(6.7, 3, 14), 6.5, *np.linspace(3, 1.5, 15)]}),
    "total only": make_case(total=falling(9.5, 1.5), accuracy=falling(0.0, 0.9)),
    "cosine with scale": healthy(facts=dataclasses.replace(COSINE, cosine_scale=30.0)),
    "the configured rate": make_case(
        PLANNED, learning_rate=lambda x: np.where(x < 20, 3.5e-4, 3.5e-5), mAP=falling(0.02, 0.6, noise=0.003), **LEARNS
    ),
    "a rate twice the configured one, as fast-reid's biases have": make_case(
        PLANNED, learning_rate=flat(7e-4), epochs=range(1, 16), **LEARNS
    ),
    "a rate times the number of processes that works": make_case(
        dataclasses.replace(PLANNED, milestones=None), learning_rate=flat(2.8e-3), cross_entropy=falling(6.72, 0.3, 4.0),
        triplet=falling(2.8, 0.5), mAP=falling(0.02, 0.8, noise=0.003),
    ),
    "parts that add up": summed(1.0, 1.0),
    "parts that were written with their weights": summed(1.0, 1.0, dataclasses.replace(PLANNED, triplet_weight=0.3)),
    "frozen statistics of a frozen backbone": Case(
        facts=dataclasses.replace(MARKET, frozen_layers=("backbone",)),
        measurements=pair({"": (0.1, 0.0), "heads": (0.1, 0.0)}, buffers=1.0),
    ),
    "a classifier that nothing trains": Case(
        facts=dataclasses.replace(MARKET, cross_entropy_weight=0.0),
        measurements=pair({"": (0.1, 0.1), "backbone.a": (0.1, 0.0), "head.classifier": (0.0, 1.0)}, buffers=0.0),
    ),
    "a freeze that is wanted": Case(
        facts=LogFacts(frozen_layers=("backbone.b",)), measurements=pair({**LAYERS, "backbone.b": (0.0, 1.0)})
    ),
    "checkpoints of a healthy run": Case(measurements=pair({**LAYERS, "(root)": (0.0, 1.0)}, buffers=0.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", HEALTHY)
def test_no_alarm_on_a_healthy_run(name):
    diagnosis = diagnose(HEALTHY[name])
    assert not diagnosis.is_alarm, [(finding.code, finding.confidence) for finding in diagnosis.findings]


@pytest.mark.parametrize("seed", range(25))
def test_no_alarm_at_any_length_of_randomly_drawn_healthy_runs(seed):
    generator = np.random.default_rng(seed)
    start, scale, noise = generator.uniform(4.5, 7), generator.uniform(2, 25), generator.uniform(0.005, 0.1)
    facts = LogFacts(num_identities=int(generator.choice([150, 751, 1041])), margin=0.3, max_epochs=60)
    length = int(generator.integers(2, 60))
    case = make_case(
        facts, epochs=range(1, length + 1),
        cross_entropy=falling(start, generator.uniform(0.5, 2), scale, noise, seed=seed),
        triplet=falling(generator.uniform(0.8, 4), 0.2, scale, noise / 2, seed=seed + 1),
        mAP=lambda x: np.clip(falling(0.02, generator.uniform(0.1, 0.9), scale, 0.004)(x), 0, 1),
    )  # fmt: skip
    diagnosis = diagnose(case)
    assert not diagnosis.is_pipeline_broken, [(finding.code, finding.confidence) for finding in diagnosis.findings]


def test_rules_abstain_and_name_what_they_lack():
    diagnosis = diagnose(FIRING["unknown"])
    assert "--num-identities" in diagnosis.missing
    assert diagnosis.first is not None
    assert diagnosis.first.code == "unknown"


def test_an_empty_case_gives_nothing_and_no_error():
    assert diagnose(Case()).findings == ()


def test_motion_between_checkpoints_refutes_what_the_log_suggests():
    moved = dataclasses.replace(stalled(), measurements=pair({"": (1e-2, 0.0), "backbone": (1e-2, 0.0)}))
    assert "weights-not-updated" not in {finding.code for finding in diagnose(moved).findings}


def test_a_rate_of_zero_leaves_one_cause():
    case = make_case(cross_entropy=flat(6.72, 0.004), triplet=flat(2.8, 0.03), learning_rate=flat(0.0))
    first = diagnose(case).first
    assert first is not None
    assert first.causes == ("learning-rate-zero",)


def test_with_mixed_precision_on_the_scaler_is_among_the_causes():
    first = diagnose(stalled(facts=dataclasses.replace(MARKET, mixed_precision=True))).first
    assert first is not None
    assert "scaler-always-skips" in first.causes


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.code}:{rule.judge.__name__}")
def test_every_rule_gives_a_verdict_on_every_case(rule):
    for case in [*FIRING.values(), *HEALTHY.values(), Case()]:
        verdict = rule.judge(case)
        assert verdict is None or isinstance(verdict, (Finding, Abstained))


@pytest.mark.parametrize("code", FIRING)
def test_findings_keep_their_contract(code):
    for finding in diagnose(FIRING[code]).findings:
        assert finding.severity in SEVERITIES
        assert 0 < finding.confidence <= 1
        assert finding.evidence
        assert finding.next_test
        assert set(finding.causes) <= set(BY_CODE)
        assert set(finding.remedies) <= set(BY_NAME), finding.code


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.code}:{rule.judge.__name__}")
def test_every_rule_has_a_page_with_all_its_parts(rule):
    text = page(rule.code)
    for part in ("What it is", "Why it happens", "How it was seen", "What to do", "Source"):
        assert part in text


def test_every_cure_of_the_vocabulary_is_a_word_of_its_own():
    assert len(BY_CODE) >= 45
    assert all(page(code) for code in (*finding_codes(), *BY_CODE))


def _codes_written_in(module: Path) -> set[str]:
    """Codes that a module gives its findings: what it calls `code`, and what it hands on to what makes one."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    given = [
        keyword.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "code"
    ]
    made = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    given += [node.args[0] for node in made if node.func.id in ("Finding", "_finding", "_found") and node.args]
    given += [
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("CODE")
    ]
    words = {one.value for part in given for one in ast.walk(part) if isinstance(one, ast.Constant)}
    return {str(word) for word in words if re.fullmatch(r"[a-z]+(-[a-z]+)+", str(word))}


def test_every_code_that_is_written_anywhere_is_a_finding_with_a_page():
    modules = sorted(Path(unplateau.diagnosis.__file__).parent.rglob("*.py"))
    written = set().union(*map(_codes_written_in, modules))
    assert len(written) > 40, "the search itself finds them"
    assert written <= set(finding_codes()), written - set(finding_codes())
