"""The gradient of the model is not the slope of what it computes.

What it is
    Weights of a copy are moved a little to both sides, in double precision, and the change of features and logits is compared with
    what the gradient promises: along the gradient itself, along a random direction of all weights, and then layer group by group.

Why it happens
    `.detach()`, `.data`, `.item()` or `no_grad` inside the forward pass, where they should not be or on the wrong side of a
    product; tensors that are made anew from numbers; a backward function of one's own with a mistake; a hook that changes
    gradients.

How it was seen
    Outputs and losses are right, the head goes on learning, and layers behind the cut learn little or nothing. An attention that
    weighs `maps.detach()` leaves the backbone only what comes back through the weights.

What to do
    Search the forward pass for the words above, beginning behind the last layer group that is named. `torch.autograd.gradcheck`
    checks one module in double precision.

Source
    Numeric gradient checking, as in Bengio 2012, arXiv 1206.5533, section 4.2. Thresholds ours: healthy networks differ by less
    than 0.0001. A stop-gradient that is meant, as in a margin that weighs itself, looks the same; that of the circle loss is known.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "gradient-not-of-model"
_SOURCE = "probe numeric_gradient"
_APART, _FAR_APART = 0.2, 0.5
_MOST_NAMED = 6
_SHRUNK, _NOTHING, _ONE_FACTOR = 0.1, 1e-6, 0.01


def judge(case: Case) -> Verdict:
    """Fire where the measured slope of a layer group is not the one that its gradient says."""
    apart = {group: value for group, value in case.measured("gradient_numeric_apart").items() if group and value >= _APART}
    if not apart:
        return None
    ratios = {group: ratio for group, ratio in case.measured("gradient_numeric_ratio").items() if group in apart}
    worst = max(apart.values())
    lines = [Evidence(_text(group, ratios.get(group), value), value, 0.0, _SOURCE) for group, value in apart.items()]
    is_shrunk = _is_shrunk(list(ratios.values()))
    return Finding(
        code=CODE,
        title="The model hands back another gradient than the slope of its outputs",
        severity="pipeline",
        confidence=0.85 if worst >= _FAR_APART else 0.65,
        evidence=(*lines[:_MOST_NAMED], *_rest(len(lines) - _MOST_NAMED)),
        causes=("detached-branch", "no-gradient", *(("gradient-clipped-away",) if is_shrunk else ())),
        refuted_by="a stop-gradient in the forward pass that is meant",
        next_test="look for detach, .data, no_grad and backward functions of your own in the forward pass; torch.autograd.gradcheck",
        remedies=("restore_gradient", "repair_head", *(("loosen_clipping",) if is_shrunk else ())),
    )


def _text(group: str, ratio: float | None, apart: float) -> str:
    if ratio is None:
        return f"{group}: slope by the gradient and measured slope differ by {apart:.0%}"
    return f"{group}: the gradient says {ratio:.2g} times the slope that is measured"


def _rest(count: int) -> tuple[Evidence, ...]:
    return (Evidence(f"and so {count} more layer groups", float(count), 0.0, _SOURCE),) if count > 0 else ()


def _is_shrunk(ratios: list[float]) -> bool:
    """One small factor on all of them: nothing is cut, something makes it small."""
    if len(ratios) < 2 or not _NOTHING < min(ratios) <= max(ratios) < _SHRUNK:
        return False
    return max(ratios) - min(ratios) < _ONE_FACTOR * max(ratios)
