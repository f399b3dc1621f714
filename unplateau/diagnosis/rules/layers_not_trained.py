"""Some layers are not trained.

What it is
    Two checkpoints of one run: some layer groups differ, others are equal to the bit. Where only the head differs the finding is
    only-head-trained.

Why it happens
    Freeze settings that never end, parameter groups that were built before layers were replaced, branches that the forward pass
    does not use, a detach() between backbone and head.

How it was seen
    CLIP-ReID#51: stage 2 did not update. Planted in our own benchmark: backbone frozen.

What to do
    List the parameters with requires_grad and those in optimizer.param_groups, and compare with the layers named here.

Source
    Weight motion of about 1e-3 a step is healthy (Stanford CS231n, notes on the ratio of updates to weights).
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.rules.motion_measured import below_a_loss
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

_SOURCE = "checkpoints A and B"
_HEAD_GROUPS = ("head", "heads", "classifier", "fc", "bottleneck", "cls_layer", "logits")
_CONSTANT = 16  # elements; fewer are pixel means or a scale, not a layer


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
        causes=("backbone-frozen", "detached-branch", "stale-optimizer", "learning-rate-zero"),
        refuted_by="a freeze of the backbone that is wanted and ends later (FREEZE_ITERS)",
        next_test="list the parameters with requires_grad and those in optimizer.param_groups",
        remedies=("unfreeze", "fix_optimizer"),
    )


def judge(case: Case) -> Verdict:
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


def _groups(case: Case) -> tuple[list[str], list[str]]:
    """Return the layer groups that moved, and those that did not without a wish for it; a pixel mean is no layer."""
    elements, unchanged = case.measured("elements"), case.measured("tensors_unchanged")
    layers = [group for group in unchanged if group not in ("", "buffers", "(root)") and elements.get(group, 0.0) > _CONSTANT]
    layers = below_a_loss(case, layers)
    wanted = tuple(case.facts.frozen_layers or ())
    still = [group for group in layers if unchanged[group] == 1 and not (wanted and group.startswith(wanted))]
    return [group for group in layers if unchanged[group] < 1], still


def _is_head(group: str) -> bool:
    return any(part in _HEAD_GROUPS for part in group.lower().split("."))
