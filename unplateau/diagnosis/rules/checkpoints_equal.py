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

import math

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.rules.weights_not_updated import CODE, still_causes
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

_SOURCE = "checkpoints A and B"
_HEAD_GROUPS = ("head", "heads", "classifier", "fc", "bottleneck", "cls_layer", "logits")
_CONSTANT = 16  # elements; fewer are pixel means or a scale, not a layer
_BARELY = 1e-6  # relative change between two checkpoints; one healthy step alone is about 1e-3


def judge_nothing_moved(case: Case) -> Verdict:
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


def judge_only_head_moved(case: Case) -> Verdict:
    """Fire where head layers moved and every other learned tensor did not."""
    moved, still = _groups(case)
    if not moved or not still or not all(_is_head(group) for group in moved) or any(_is_head(group) for group in still):
        return None
    evidence = tuple(Evidence(f"{group}: every weight equal to the bit", 0.0, 1e-3, _SOURCE) for group in still[:6])
    return Finding(
        code="only-head-trained",
        title="Proven: only the head is trained, the backbone does not move",
        severity="pipeline",
        confidence=0.98,
        evidence=(*evidence, Evidence(f"moved: {', '.join(moved)}", None, None, _SOURCE)),
        causes=("backbone-frozen", "detached-branch", "stale-optimizer"),
        refuted_by="a freeze of the backbone that is wanted and ends later (FREEZE_ITERS)",
        next_test="list the parameters with requires_grad and those in optimizer.param_groups",
        remedies=("unfreeze", "fix_optimizer"),
    )


def judge_layers_still(case: Case) -> Verdict:
    """Fire where some groups, not the whole backbone, did not move."""
    moved, still = _groups(case)
    if not moved or not still or judge_only_head_moved(case) is not None:
        return None
    evidence = tuple(Evidence(f"{group}: every weight equal to the bit", 0.0, 1e-3, _SOURCE) for group in still[:8])
    return Finding(
        code="layers-not-trained",
        title=f"Not trained: {', '.join(still[:5])}{' ...' if len(still) > 5 else ''}",
        severity="optimisation",
        confidence=0.7,
        evidence=(*evidence, Evidence(f"moved: {', '.join(moved[:8])}", None, None, _SOURCE)),
        causes=("layers-frozen", "stale-optimizer", "detached-branch"),
        refuted_by="a freeze that is wanted (FREEZE_LAYERS), or layers that the forward pass does not use",
        next_test="compare the list with the freeze settings of the run",
        remedies=("unfreeze",),
    )


def judge_barely_moved(case: Case) -> Verdict:
    """Fire where weights moved by next to nothing."""
    change = case.measured("checkpoint_motion").get("")
    if change is None or not 0 < change < _BARELY:
        return None
    return Finding(
        code="weights-barely-move",
        title="The weights move by next to nothing",
        severity="optimisation",
        confidence=0.85,
        evidence=(Evidence(f"relative change {change:.1e} between the checkpoints", change, 1e-3, _SOURCE),),
        causes=("learning-rate-too-low", "gradient-clipped-away", "epsilon-too-large", "scaler-always-skips"),
        refuted_by="the two checkpoints being a few steps apart at the end of a schedule",
        next_test="the learning rate of these epochs, and the clipping threshold",
        remedies=("higher_learning_rate", "loosen_clipping"),
    )


def judge_non_finite(case: Case) -> Verdict:
    """Fire where a weight is NaN or infinite."""
    broken = [group for group, motion in case.measured("checkpoint_motion").items() if not math.isfinite(motion)]
    if not broken:
        return None
    where = ", ".join(group for group in broken if group) or "the model"
    return Finding(
        code="diverged",
        title="Weights are NaN or infinite",
        severity="pipeline",
        confidence=0.99,
        evidence=(Evidence(f"non-finite values in {where}", None, 0.0, _SOURCE),),
        causes=("learning-rate-too-high", "no-warm-up"),
        refuted_by="",
        next_test="go back to the last checkpoint with finite weights",
        remedies=("lower_learning_rate", "warm_up"),
    )


def _groups(case: Case) -> tuple[list[str], list[str]]:
    """Return the layer groups that moved and that did not; constants such as pixel means are no layers."""
    elements, unchanged = case.measured("elements"), case.measured("tensors_unchanged")
    layers = [group for group in unchanged if group not in ("", "buffers", "(root)") and elements.get(group, 0.0) > _CONSTANT]
    return [group for group in layers if unchanged[group] < 1], [group for group in layers if unchanged[group] == 1]


def _is_head(group: str) -> bool:
    return any(part in _HEAD_GROUPS for part in group.lower().split("."))
