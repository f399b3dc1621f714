"""Known people are found, unknown people are not.

What it is
    mAP among identities that were trained on beside mAP among identities never seen, in galleries of the same make.

Why it happens
    Few people or images, weak augmentation, a long run. Images of the trained identities were trained on themselves, so some gap
    is in every run.

How it was seen
    In 62 healthy runs of our benchmark, on 60 people, the gap was .06 to .64 (benchmarks/results/probe_readings.md): on so few
    people a large gap is usual, and a limit rather than a fault.

What to do
    More people, stronger augmentation, a shorter run; not a higher rate.

Source
    Field notes (train-identity gap). Thresholds ours.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "overfitting"
_GAP = 0.5
_LEARNED = 0.6
_SOURCE = "probe train_identity_gap"


def judge(case: Case) -> Verdict:
    """Fire where the gap is large and the trained identities are found well."""
    gap, seen = case.measured("train_identity_gap").get(""), case.measured("map_of_trained_identities").get("")
    unseen = case.measured("map_of_unseen_identities").get("")
    if gap is None or seen is None or unseen is None or gap < _GAP or seen < _LEARNED:
        return None
    return Finding(
        code=CODE,
        title="Generalisation is the limit: trained people are found, others are not",
        severity="info",  # a large gap is usual on hard sets; a mAP that falls is a fault: `overfitting`
        confidence=0.6,
        evidence=(Evidence(f"mAP {seen:.1%} on trained identities, {unseen:.1%} on others", gap, _GAP, _SOURCE),),
        causes=("overfitting", "too-few-identities"),
        refuted_by="mAP on other people that still rises",
        next_test="the same gap at an earlier checkpoint",
        remedies=("regularise", "more_identities"),
    )
