"""The losses that are trained are not those of the configuration.

What it is
    Each loss is computed twice on one batch: as the training computes it, and as the configuration says. Value or weight differ.

Why it happens
    Losses built before a setting is read, a default that wins over the file, label smoothing applied twice or read from another
    key, a margin on another scale.

How it was seen
    Configurations of re-ID projects set label smoothing and margins in several places; the one that counts is not always the one
    that is edited.

What to do
    Print margin, smoothing and weight of the loss objects that the training step calls.

Source
    Label smoothing that explains a value: Szegedy et al. 2016, section 7, solved for its epsilon. Tolerance ours.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "losses-not-as-configured"
_SOURCE = "probe losses_as_configured"
_APART = 0.02  # of the larger value; the same batch and the same outputs, so only rounding should differ
_LEAST = 0.01  # nats
_SMOOTHING_APART = 0.1


def judge(case: Case) -> Verdict:
    """Fire where a loss has another weight or another value than it should."""
    evidence: list[Evidence] = []
    causes: list[str] = []
    for name, weight in case.measured("loss_weight_trained").items():
        wanted = case.measured("loss_weight_configured").get(name, weight)
        if abs(weight - wanted) > _APART * max(abs(weight), abs(wanted)):
            evidence.append(Evidence(f"weight of {name} {weight:.3g}, configured {wanted:.3g}", weight, wanted, _SOURCE))
            missing = name == "cross_entropy" and weight == 0
            causes += ["cross-entropy-missing"] if missing else ["loss-weights-unbalanced"]
    for name, value in case.measured("loss_trained").items():
        wanted = case.measured("loss_configured").get(name, value)
        if abs(value - wanted) > max(_LEAST, _APART * max(abs(value), abs(wanted))):
            evidence += [Evidence(f"{name} {value:.3f}, as configured {wanted:.3f}", value, wanted, _SOURCE), *_why(case, name)]
            causes.append(_cause(name))
    if not evidence:
        return None
    return Finding(
        code=CODE,
        title="The losses that are trained are not those of the configuration",
        severity="pipeline",
        confidence=0.95,
        evidence=tuple(evidence),
        causes=tuple(dict.fromkeys(causes)),
        refuted_by="loss objects that hold the configured margin, smoothing and weights",
        next_test="print margin, smoothing and weight of the losses inside the training step",
        remedies=("less_label_smoothing", "restore_margin", "rebalance_losses", "add_cross_entropy"),
    )


def judge_smoothing(case: Case) -> Verdict:
    """Fire where half of the target or more is spread over all identities, on purpose or not."""
    smoothing, eps = case.facts.label_smoothing, case.measured("effective_smoothing").get("")
    used = smoothing if eps is None else eps
    if used is None or not _TOO_MUCH <= used <= 1.0:
        return None
    return Finding(
        code="label-smoothing-too-strong",
        title="Label smoothing leaves little to learn",
        severity="optimisation",
        confidence=0.85,
        evidence=(
            Evidence(f"label smoothing {used:.2f}; recipes use 0.1", used, 0.1, "configuration" if eps is None else _SOURCE),
        ),
        causes=("label-smoothing-too-strong",),
        refuted_by="the same run with 0.1 that is no better",
        next_test="one run with CE.EPSILON 0.1",
        remedies=("less_label_smoothing",),
    )


_TOO_MUCH = 0.45


def _why(case: Case, name: str) -> list[Evidence]:
    eps, wanted = case.measured("effective_smoothing").get(""), case.facts.label_smoothing
    if name != "cross_entropy" or eps is None or wanted is None or abs(eps - wanted) < _SMOOTHING_APART:
        return []
    return [Evidence(f"label smoothing of {eps:.2f} explains it, configured {wanted:.2f}", eps, wanted, _SOURCE)]


def _cause(name: str) -> str:
    return {"cross_entropy": "label-smoothing-too-strong", "triplet": "margin-wrong"}.get(name, "loss-weights-unbalanced")
