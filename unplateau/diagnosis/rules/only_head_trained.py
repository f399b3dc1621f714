"""Only the head is trained.

What it is
    The classifier learns (cross-entropy falls) on features that stand still (the triplet loss, which sees only the features,
    stays flat above its margin). mAP stays that of the untrained backbone.

Why it happens
    The backbone is frozen (FREEZE_LAYERS, requires_grad_(False), never unfrozen), its parameters are not in the optimiser, or
    a detach()/no_grad() stands between backbone and head.

How it was seen
    Planted in our own benchmark; in public logs it hides behind "training works, mAP does not rise". mAP of un-finetuned
    ImageNet features on Market-1501 is 1 to 3 %.

What to do
    Two checkpoints prove it: only head tensors differ. Unfreeze, or rebuild the optimiser after unfreezing.

Source
    Field notes on frozen features: a triplet loss above its margin and flat is no collapse.
"""

from __future__ import annotations

from unplateau.curves.noise import noise_of_differences
from unplateau.diagnosis.case import Case, Curve
from unplateau.diagnosis.landmarks_of import collapsed_triplet
from unplateau.diagnosis.schedule_view import in_warm_up, is_rate_off
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "only-head-trained"
_LEAST_FALL = 0.05  # of the first cross-entropy; random features let a classifier learn a tenth of it
_NOISES = 5.0
_STILL = 0.1  # of the triplet loss's level; learning features lose half of it within epochs
_ABOVE_MARGIN = 1.15
_FEWEST_POINTS = 6


def judge(case: Case) -> Verdict:
    """Fire where the identity loss learns on features that stand still."""
    loss, triplet = case.curve("cross_entropy"), case.curve("triplet")
    if (
        loss is None
        or triplet is None
        or min(len(loss.y), len(triplet.y)) < _FEWEST_POINTS
        or in_warm_up(case)
        or is_rate_off(case)
    ):
        return None
    moved = [*case.measured("checkpoint_motion").items(), *case.measured("tensors_moved").items()]
    if any(value > 0 for group, value in moved if "backbone" in group):
        return None
    if not _has_fallen(loss) or triplet.level < _ABOVE_MARGIN * collapsed_triplet(case):
        return None
    if not triplet.is_stationary(_STILL * triplet.level) or triplet.first > (1 + 2 * _STILL) * triplet.latest:
        return None
    return Finding(
        code=CODE,
        title="Only the head seems to be trained: the features stand still",
        severity="pipeline",
        confidence=0.7,
        evidence=(
            Evidence(f"cross-entropy falls from {loss.first:.2f} to {loss.latest:.2f}", loss.latest, loss.first, loss.where()),
            Evidence(
                f"triplet loss {triplet.y.min():.2g}-{triplet.y.max():.2g}, flat above its margin",
                triplet.level, collapsed_triplet(case), triplet.where(),
            ),
        ),
        causes=("backbone-frozen", "detached-branch", "stale-optimizer", "learning-rate-zero"),
        refuted_by="two checkpoints whose backbone weights differ",
        next_test="solve_plateau.py --checkpoints A B: do backbone tensors differ?",
        remedies=("unfreeze", "fix_optimizer"),
    )  # fmt: skip


def _has_fallen(loss: Curve) -> bool:
    """By end points: a curve that falls and flattens is no line, and the interval of a line's slope says little of it."""
    return loss.first - loss.latest >= max(_LEAST_FALL * loss.first, _NOISES * noise_of_differences(loss.y))
