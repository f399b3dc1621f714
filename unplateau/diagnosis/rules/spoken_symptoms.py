"""What a warning or an error message says by itself.

What it is
    Findings that rest on a line of text: labels outside 0..I-1, pretrained weights that did not load.

Why it happens
    Labels are person ids instead of 0..I-1, or num_classes counts other people than the labels do; the checkpoint's names do
    not fit the model's, so that most layers stay random and only a warning tells.

How it was seen
    deep-person-reid#537, #190; TransReID#93: device assert. mmtracking#244: num_classes 378, labels to 379.
    reid-strong-baseline#46: 66.7 mAP with nothing pretrained loaded. ELECTRICITY-MTMC#7: ResNet-50 weights into ResNet-101,
    20.4 against 82.4 mAP. A ResNet-50-IBN given plain ResNet-50 weights: the IBN layers stay random.

What to do
    Relabel 0..I-1 in the order of sorted person ids. Compare the names of checkpoint and model, and count what was loaded.

Source
    Field casebook.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

LABELS_CODE = "labels-out-of-range"
WEIGHTS_CODE = "pretrained-not-loaded"


def judge_labels(case: Case) -> Verdict:
    """Fire on a device assert or an index out of bounds in the loss."""
    if "label-out-of-range" not in case.symptoms:
        return None
    return Finding(
        code=LABELS_CODE,
        title="Labels do not run from 0 to the number of identities minus 1",
        severity="pipeline",
        confidence=0.85,
        evidence=(Evidence("a device assert or an index out of bounds in the loss", source="symptom"),),
        causes=("labels-out-of-range",),
        refuted_by="labels within 0..I-1 on the CPU, where the message is exact",
        next_test="min and max of the labels against the classifier's out_features",
        remedies=("relabel",),
    )


def judge_weights(case: Case) -> Verdict:
    """Fire on a message that pretrained weights did not fit."""
    if "weights-not-loaded" not in case.symptoms:
        return None
    return Finding(
        code=WEIGHTS_CODE,
        title="Pretrained weights were not, or only partly, loaded",
        severity="optimisation",
        confidence=0.6,
        evidence=(Evidence("the text says that tensors were missing, mismatched or not loaded", source="symptom"),),
        causes=("pretrained-not-loaded",),
        refuted_by="missing tensors that are only the classifier's",
        next_test="count the tensors that were loaded into the backbone",
        remedies=("load_pretrained",),
    )
