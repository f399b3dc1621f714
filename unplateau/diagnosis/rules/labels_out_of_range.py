"""Labels do not run from 0 to the number of identities minus 1.

What it is
    A device assert on the GPU, or an index out of bounds on the CPU, in the loss.

Why it happens
    Labels are person ids instead of 0..I-1, or num_classes counts other people than the labels do.

How it was seen
    deep-person-reid#537, #190; TransReID#93: device assert. mmtracking#244: num_classes 378, labels to 379.

What to do
    Relabel 0..I-1 in the order of the sorted person ids.

Source
    Field casebook.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "labels-out-of-range"


def judge(case: Case) -> Verdict:
    """Fire on a device assert or an index out of bounds in the loss."""
    if "label-out-of-range" not in case.symptoms:
        return None
    return Finding(
        code=CODE,
        title="Labels do not run from 0 to the number of identities minus 1",
        severity="pipeline",
        confidence=0.85,
        evidence=(Evidence("a device assert or an index out of bounds in the loss", source="symptom"),),
        causes=("labels-out-of-range",),
        refuted_by="labels within 0..I-1 on the CPU, where the message is exact",
        next_test="min and max of the labels against the classifier's out_features",
        remedies=("relabel",),
    )
