"""Pretrained weights were not, or only partly, loaded.

What it is
    A warning names tensors that were missing or did not fit; the layers they belong to stay random.

Why it happens
    The checkpoint's names or shapes do not fit the model's, and the loader goes on.

How it was seen
    reid-strong-baseline#46: 66.7 mAP with nothing pretrained loaded. ELECTRICITY-MTMC#7: ResNet-50 weights into ResNet-101, 20.4
    against 82.4 mAP. A ResNet-50-IBN given plain ResNet-50 weights: the IBN layers stay random.

What to do
    Compare the names of checkpoint and model, and count what was loaded.

Source
    Field casebook.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "pretrained-not-loaded"


def judge(case: Case) -> Verdict:
    """Fire on a message that pretrained weights did not fit."""
    if "weights-not-loaded" not in case.symptoms:
        return None
    return Finding(
        code=CODE,
        title="Pretrained weights were not, or only partly, loaded",
        severity="optimisation",
        confidence=0.6,
        evidence=(Evidence("the text says that tensors were missing, mismatched or not loaded", source="symptom"),),
        causes=("pretrained-not-loaded",),
        refuted_by="missing tensors that are only the classifier's",
        next_test="count the tensors that were loaded into the backbone",
        remedies=("load_pretrained",),
    )
