"""A message says that the optimiser, or the loss, has no gradient.

What it is
    PyTorch itself reports that no gradient is there: "No inf checks were recorded for this optimizer" (the gradient scaler found
    not one gradient among the tensors the optimiser holds), or "element 0 of tensors does not require grad".

Why it happens
    The optimiser holds other tensors than the model's (stale-optimizer), everything is frozen, or backward does not reach the
    weights. Turning mixed precision off silences the message and cures nothing.

How it was seen
    fast-reid#700, #704, BoT-SORT#85: its flat optimiser buffers lose their gradients under torch >= 2.0.

What to do
    Prove it with two checkpoints: solve_plateau.py --checkpoints A B. See the page weights-not-updated.

Source
    torch.amp.GradScaler.step asserts that at least one gradient of the optimiser was checked for infinities.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.landmarks_of import has_learned
from unplateau.diagnosis.rules.weights_not_updated import CODE
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

_MESSAGES = {
    "no-inf-checks": '"No inf checks were recorded for this optimizer": not one tensor that the optimiser holds has a gradient',
    "no-gradient": "PyTorch says that the loss, or what it was made of, does not ask for a gradient",
}


def judge(case: Case) -> Verdict:
    """Fire on the message where no curve of the cross-entropy tells more (`weights_not_updated`) or contradicts."""
    said = [code for code in _MESSAGES if code in case.symptoms]
    if not said or case.has_moved or case.curve("cross_entropy") is not None or has_learned(case):
        return None
    by_scaler = "no-inf-checks" in said
    return Finding(
        code=CODE,
        title="The optimiser has no gradient to step with: the weights are most likely not updated",
        severity="pipeline",
        confidence=0.8,
        evidence=tuple(Evidence(_MESSAGES[code], source="symptom") for code in said),
        causes=("stale-optimizer", "everything-frozen", "no-gradient") if by_scaler else ("everything-frozen", "no-gradient"),
        refuted_by="two checkpoints of this run, an epoch apart, whose weights (not batch-norm buffers) differ",
        next_test="solve_plateau.py --checkpoints A B with two checkpoints of this run: exactly 0 change is the proof",
        remedies=("fix_optimizer", "unfreeze", "restore_gradient"),
    )
