"""A loss does not reach the backbone.

What it is
    The gradient of one of the losses at the last block of the backbone is exactly 0, though the loss is far from solved: it
    trains what lies behind the block, and nothing else.

Why it happens
    A detach() or no_grad() between the features and that loss's branch, or a branch that reads a copy of the features.

How it was seen
    Cutting the classifier off the backbone is done on purpose in self-supervised learning (a linear probe), and left in by
    mistake.

What to do
    Remove the detach; check that the features that enter the classifier have a grad_fn.

Source
    PyTorch autograd notes.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.landmarks_of import collapsed_triplet
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "loss-cut-off"
_CLEARLY_ACTIVE = 0.5  # of the margin, mean over a batch
_ZEROED = 0.1  # of the weights
_SOLVED = 0.05  # of the way from floor to start


def judge(case: Case) -> Verdict:
    """Fire where one loss has a gradient at the shared block, and another that is trained has none at all."""
    norms = case.measured("loss_gradient_norm") | case.measured("loss_gradient_highest")  # a batch may be solved, not all
    cut = [name for name, norm in norms.items() if norm == 0 and not _is_solved(case, name)]
    if not cut or all(norm == 0 for norm in norms.values()) or case.measured("d_an").get("", 1.0) == 0:
        return None  # distances of collapsed features have no gradient
    if case.measured("zero_weights").get("", 0.0) > _ZEROED:
        return None  # a classifier of zeros hands nothing back: `head_measured`
    return Finding(
        code=CODE,
        title=f"{cut[0]} does not reach the backbone",
        severity="pipeline",
        confidence=0.95,
        evidence=tuple(
            Evidence(f"gradient of {name} at the last block: exactly 0", 0.0, None, "probe loss_conflict") for name in cut
        ),
        causes=("detached-branch",),
        refuted_by="a gradient other than 0 on another batch",
        next_test="print grad_fn of what enters the classifier",
        remedies=("restore_gradient",),
    )


def _is_solved(case: Case, name: str) -> bool:
    if name == "cross_entropy":
        return case.measured("term_above_floor").get(name, 1.0) < _SOLVED
    # a hinge without an active triplet has no gradient either; one that is large has active ones
    return case.measured("loss_trained").get(name, 0.0) < _CLEARLY_ACTIVE * collapsed_triplet(case)
