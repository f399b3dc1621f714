"""Measured while training: the weights do not move.

What it is
    Our trainer and `unplateau.watch` measure how far the weights move in a step. Exactly 0, epoch after epoch, is the proof of
    weights-not-updated.

Why it happens
    With gradients: the optimiser does not hold these tensors, or the rate is 0. Without: everything is frozen, or backward does
    not reach the weights.

How it was seen
    fast-reid with torch >= 2.0: total change exactly 0.0 while the sum of gradient norms was 5156.

What to do
    Compare id(p) of optimizer.param_groups with model.parameters(); see the page weights-not-updated.

Source
    Weight motion of about 1e-3 a step is healthy (Stanford CS231n).
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.rules.weights_not_updated import CODE, still_causes
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding


def judge(case: Case) -> Verdict:
    """Fire where the motion of the weights was measured in every epoch and is exactly 0."""
    motion, gradient = case.curve("weight_motion"), case.curve("gradient_norm")
    if motion is None or motion.y.max() > 0:
        return None
    evidence = [Evidence("relative motion of the weights in a step: exactly 0", 0.0, 1e-3, motion.where())]
    causes: tuple[str, ...] = still_causes(case)
    if gradient is not None:
        evidence.append(Evidence(f"gradient norm {gradient.latest:.3g}", gradient.latest, None, gradient.where()))
        without = ("everything-frozen", "no-gradient", "detached-branch")
        causes = tuple(code for code in causes if code != "everything-frozen") if gradient.y.max() > 0 else without
    return Finding(
        code=CODE,
        title="Proven: the weights are not updated",
        severity="pipeline",
        confidence=0.99,
        evidence=tuple(evidence),
        causes=causes,
        refuted_by="",
        next_test="compare id(p) of optimizer.param_groups with model.parameters()",
        remedies=("fix_optimizer", "restore_learning_rate", "unfreeze", "fix_mixed_precision"),
    )
