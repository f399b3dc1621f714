"""The gradient of the model is not the slope of what it computes.

What it is
    Weights of a copy are moved a little to both sides, in double precision, and the change of features and logits is compared
    with what the gradient promises. Sure are: weights that get no gradient at all and yet change the outputs, a gradient whose
    cosine to the measured one is near 0, and one along which outputs do not rise nearly as it says.

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
    Numeric gradient checking, as in Bengio 2012, arXiv 1206.5533, section 4. Thresholds ours: healthy networks differ by less
    than 0.001. Stop-gradients that are meant, as through the statistics of MixStyle or batch renormalisation, leave a cosine of
    0.4 to 1, and outputs rise 0.5 to 1.6 times as promised: that is told as a possibility, no more. A way through detached maps
    left one of 0.25 or less. Logits of margins that weigh themselves are left out.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.rules import model_measured
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "gradient-not-of-model"
_SOURCE = "probe numeric_gradient"
_OFF, _FAR_OFF = 0.7, 0.85  # relative; stop-gradients that are meant reach 0.5
_TURNED = 0.3  # cosine
_SOME_SLOPE = 0.01
_DIFFERS, _POSSIBLE = 0.2, 0.4
_MOST_NAMED = 6
_SHRUNK, _ONE_FACTOR = 10.0, 0.01  # times
_UNDERSTOOD = 0.7  # from here on it is known what was put into the model, and that may stop gradients of its own on purpose


def judge(case: Case) -> Verdict:
    """Fire where weights have a slope and no gradient, or the slope along the gradient is not the one that it promises."""
    silent = {group: slope for group, slope in case.measured("slope_without_gradient").items() if slope >= _SOME_SLOPE}
    off = {group: ratio for group, ratio in case.measured("slope_along_gradient").items() if _apart(ratio) >= _OFF}
    apart, cosine = case.measured("slope_apart").get("", 0.0), min(case.measured("slope_cosine").values(), default=1.0)
    if not silent and not off and apart < _DIFFERS and cosine > _TURNED:
        return None
    lines = [_line(group, silent, off) for group in dict.fromkeys((*silent, *off))]
    cause = ("gradient-clipped-away", "loosen_clipping") if not silent and _is_shrunk(list(off.values())) else None
    return Finding(
        code=CODE,
        title="The model hands back another gradient than the slope of its outputs",
        severity="pipeline",
        confidence=_confidence(case, bool(silent) or cosine < _TURNED, off),
        evidence=(*_overall(apart, cosine), *lines[:_MOST_NAMED], *_rest(len(lines) - _MOST_NAMED)),
        causes=("detached-branch", "no-gradient", *(cause[:1] if cause else ())),
        refuted_by="a stop-gradient in the forward pass that is meant",
        next_test="look for detach, .data, no_grad and backward functions of your own behind the last layer group that is named",
        remedies=("restore_gradient", "repair_model", *(cause[1:] if cause else ())),
    )


def _apart(ratio: float) -> float:
    return abs(1 - ratio) / max(1.0, abs(ratio))


def _confidence(case: Case, is_cut: bool, off: dict[str, float]) -> float:
    other = model_measured.judge(case)
    is_changed = isinstance(other, Finding)
    if isinstance(other, Finding) and other.confidence >= _UNDERSTOOD:
        return 0.65 if is_cut or off else _POSSIBLE
    if not is_cut and not off:
        return 0.65 if is_changed else _POSSIBLE  # nobody meant what is in no configuration
    return 0.85 if is_cut or max(map(_apart, off.values())) >= _FAR_OFF else 0.65


def _line(group: str, silent: dict[str, float], off: dict[str, float]) -> Evidence:
    if group in silent:
        return Evidence(f"{group}: outputs change with weights whose gradient is exactly 0", silent[group], 0.0, _SOURCE)
    text = f"{group}: along the gradient outputs change {off[group]:.2g} times as much as it says"
    return Evidence(text, off[group], 1.0, _SOURCE)


def _overall(apart: float, cosine: float) -> tuple[Evidence, ...]:
    lines = [Evidence(f"the change of outputs is up to {apart:.0%} off what the gradient says", apart, 0.0, _SOURCE)]
    if cosine < 1:
        text = f"the gradient of the layers it is wrong for has a cosine of about {cosine:.2f} to the measured one"
        lines.append(Evidence(text, cosine, 1.0, _SOURCE))
    return tuple(lines)


def _rest(count: int) -> tuple[Evidence, ...]:
    return (Evidence(f"and so {count} more layer groups", float(count), 0.0, _SOURCE),) if count > 0 else ()


def _is_shrunk(ratios: list[float]) -> bool:
    """One large factor is missing from all of them: nothing is cut, something makes it small."""
    return len(ratios) > 1 and min(ratios) > _SHRUNK and max(ratios) - min(ratios) < _ONE_FACTOR * max(ratios)
