"""How often each finding named the right cause of bugs that nobody had shown to the rules, and so how sure it may be.

A finding sees for sure that something is wrong, and is often less sure why. Counted over the unseen faults of PlateauBench, each
judged once by rules frozen before (docs/plateaubench.md): findings that stood first, with watching and probes. B right of N
count as (B + 2) / (N + 3): before any is counted, two of three are believed right.
"""

from __future__ import annotations

from dataclasses import replace

from unplateau.runs.record import Finding

LIKELY = 0.5  # below it a finding is a possibility, ranked after everything likely
PROVEN = 0.97  # from here on nothing is left to doubt
RIGHT_OF_FIRST: dict[str, tuple[int, int]] = {
    "batch-norm-not-updated": (4, 7),
    "batch-not-learnable": (4, 7),
    "batch-too-small": (8, 9),
    "blank-images": (2, 2),
    "blank-inputs": (5, 5),
    "copied-images": (4, 6),
    "dead-units": (1, 1),
    "dropout-too-strong": (5, 6),
    "evaluation-broken": (54, 56),
    "evaluation-not-repeated": (13, 15),
    "gradient-clipped-away": (4, 5),
    "gradient-not-of-losses": (11, 19),
    "gradient-not-of-model": (3, 3),
    "gradients-accumulate": (16, 16),
    "images-not-of-files": (31, 32),
    "initial-loss-off": (0, 1),
    "inputs-not-normalised": (8, 8),
    "labels-mixed": (8, 9),
    "labels-not-of-files": (3, 6),
    "labels-not-of-images": (3, 4),
    "labels-of-cameras": (3, 3),
    "labels-out-of-range": (6, 6),
    "layers-not-trained": (10, 15),
    "learning-rate-exhausted": (8, 12),
    "learning-rate-too-high": (0, 1),
    "learning-rate-zero": (3, 3),
    "loss-weights-not-as-configured": (1, 5),
    "losses-not-as-configured": (62, 70),
    "missing-cosine-scale": (2, 2),
    "model-not-as-configured": (49, 61),
    "no-positives": (15, 16),
    "not-shuffled": (7, 9),
    "only-head-trained": (9, 9),
    "optimizer-not-as-configured": (11, 13),
    "overfitting": (0, 1),
    "pictures-of-two-kinds": (5, 5),
    "preparation-differs": (28, 31),
    "rate-not-as-configured": (32, 36),
    "softmax-before-ce": (4, 4),
    "step-not-as-meant": (22, 26),
    "steps-too-large": (3, 3),
    "steps-too-small": (1, 1),
    "steps-undone": (5, 7),
    "too-few-identities": (26, 27),
    "total-not-of-losses": (16, 18),
    "updates-are-rare": (3, 5),
    "weights-lost": (0, 1),
    "weights-not-updated": (13, 15),
}
"""Code: how often it was right, how often it stood first; printed by benchmarks/plateaubench/track_record.py."""


def expected_right(right: int, stood_first: int) -> float:
    """Return how often causes are expected to be the right ones after this record.

    >>> expected_right(12, 17)
    0.7
    """
    return (right + 2) / (stood_first + 3)


def as_recorded(finding: Finding) -> Finding:
    """Return the finding no surer of its causes than its record allows; likely stays likely, and what is proven stays so."""
    if finding.code not in RIGHT_OF_FIRST or not LIKELY < finding.confidence < PROVEN:
        return finding
    most = max(LIKELY, round(expected_right(*RIGHT_OF_FIRST[finding.code]), 2))
    return replace(finding, confidence=min(finding.confidence, most))


def record_of(code: str) -> str:
    """Return the record of a finding in words; empty without one."""
    if code not in RIGHT_OF_FIRST:
        return ""
    right, stood_first = RIGHT_OF_FIRST[code]
    return f"with probes it came first for {stood_first} bugs unknown to the rules; a cause it named was right in {right}"
