"""Measured on features: they have collapsed.

What it is
    The features of different people are one point (or one line): their spread is a tiny part of their length, and distances
    between people are no larger than within.

Why it happens
    Hardest-triplet mining at too high a rate or without cross-entropy; weight decay that shrinks everything; a network whose
    units are dead.

How it was seen
    triplet-reid#30, deep-person-reid#357 and #240, open-metric-learning#446.

What to do
    Add cross-entropy with a BNNeck, warm up, begin with a small P x K.

Source
    RankMe (Garrido et al. 2023); Hermans 2017. Thresholds ours. In 62 healthy runs of our benchmark d' was 1.2 or more; the
    spread alone says little, for in one of them it was 1.5 % of the length (benchmarks/results/probe_readings.md).
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "collapsed-embeddings"
_SPREAD = 0.02  # of the features' length
_RANK = 1.5  # dimensions
_D_PRIME = 0.3
_SOURCE = "probes features and triplets"


def judge(case: Case) -> Verdict:
    """Fire where features are one point or one line and say nothing of identity."""
    std, length = case.measured("feature_std").get(""), case.measured("feature_length").get("")
    size, d_prime = case.measured("feature_dim").get(""), case.measured("d_prime").get("")
    if std is None or length is None or size is None or d_prime is None:
        return None
    spread = std * size**0.5 / max(length, 1e-30) if length > 0 else 0.0
    rank = case.measured("effective_rank_centred").get("", size)
    if d_prime > _D_PRIME or (spread > _SPREAD and rank > _RANK):
        return None
    return Finding(
        code=CODE,
        title="The features have collapsed",
        severity="optimisation",
        confidence=0.7,  # a symptom: what collapses features is not measured here
        evidence=(
            Evidence(f"features spread over {spread:.2%} of their length", spread, 0.1, _SOURCE),
            Evidence(f"effective rank {rank:.1f} of {size:.0f} dimensions", rank, size, _SOURCE),
            Evidence(f"d' between people and within {d_prime:.2f}", d_prime, 1.0, _SOURCE),
        ),
        causes=("triplet-collapse", "learning-rate-too-high", "weight-decay-too-strong", "dead-units"),
        refuted_by="distances between people that are clearly above those within",
        next_test="d_ap and d_an of a batch before training: did they shrink?",
        remedies=("add_cross_entropy", "warm_up", "smaller_pk_and_grow", "lower_learning_rate"),
    )
