"""Two checkpoints show what moved.

What it is
    The same training at two times, compared tensor by tensor: learned weights by layer group, batch-norm buffers apart. Buffers
    move by mere forward passes; only weights prove that an optimiser works.

Why it happens
    Nothing moved: the page weights-not-updated. Only the head moved: the backbone is frozen, or its parameters are not in the
    optimiser. Some layers did not move: freeze settings, parameter groups built before layers were replaced, unused branches.
    Moved by a millionth: the rate is far too low, or the two files are the same step.

How it was seen
    Market-1501 with fast-reid's optimiser and torch 2.15: 60 steps, every weight equal to the bit, batch-norm counters advanced.

What to do
    Compare checkpoints of different epochs of one run. Equal weights with advanced counters are the proof that steps were
    computed and not applied.

Source
    Weight motion of about 1e-3 a step is healthy (Stanford CS231n, notes on ratio of updates to weights).
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.rules.weights_not_updated import CODE, still_causes
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

_SOURCE = "checkpoints A and B"


def judge(case: Case) -> Verdict:
    """Fire where every learned tensor is equal to the bit."""
    unchanged, elements = case.measured("tensors_unchanged"), case.measured("elements").get("", 0.0)
    if "" not in unchanged or case.has_moved:
        return None
    buffers = unchanged.get("buffers", 1.0) < 1.0
    evidence = [
        Evidence(f"all {elements:,.0f} learned numbers are equal to the bit: the change is exactly 0", 0.0, 1e-3, _SOURCE)
    ]
    if buffers:
        share = 1 - unchanged["buffers"]
        text = f"{share:.0%} of the batch-norm statistics did change: forward passes ran in between, their steps were not applied"
        evidence.append(Evidence(text, share, 0.0, _SOURCE))
    else:
        evidence.append(
            Evidence("the batch-norm statistics are equal too, or there are none: are these two epochs?", source=_SOURCE)
        )
    return Finding(
        code=CODE,
        title="Proven: the weights are not updated" if buffers else "The weights of the two checkpoints are equal",
        severity="pipeline",
        confidence=0.99 if buffers else 0.95,
        evidence=tuple(evidence),
        causes=still_causes(case),
        refuted_by="" if buffers else "the two files being copies of one epoch's checkpoint",
        next_test="one step by hand: is p.grad there, is id(p) in the optimiser's groups, is the rate above 0?",
        remedies=("fix_optimizer", "restore_learning_rate", "unfreeze", "fix_mixed_precision"),
    )
