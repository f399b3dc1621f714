"""The optimiser is not set as the configuration says.

What it is
    The optimiser is built anew from the configuration, and each weight's settings are compared: its rate beside the highest,
    momentum, epsilon, weight decay, and the kind of optimiser. And it is given the gradients of four steps, from the first on:
    the weights should go the same way.

Why it happens
    Parameter groups built by hand, whose rates are left out, exchanged or multiplied twice; defaults of another library; an
    optimiser that is built anew while training; a typo below the configuration. Where settings agree: an update written by hand
    that lacks the correction of Adam's moments, has its epsilon elsewhere, or is computed in half precision.

How it was seen
    Groups for bias, head and backbone have other rates in most re-ID code bases, and each code base writes its own.

What to do
    Print optimizer.param_groups without their tensors beside the configuration.

Source
    PyTorch, per-parameter options. What a setting does: Kingma and Ba 2015. A momentum or a second beta that is off has no cure
    of its own among our causes, so what it resembles is named, without being sure.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.schedule_view import motion_says
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "optimizer-not-as-configured"
_SOURCE = "probe optimizer_settings"
_LEAST_SHARE = 0.05  # of the weights
_FACTOR = 3.0
_MANY_LAYERS = 0.2  # of the tensors
_LARGE_EPSILON = 1e-4
_SAME_WAY, _SAME_LENGTH = 0.98, 0.05  # the same formula differs by rounding


def judge(case: Case) -> Verdict:
    """Fire where a setting that matters differs for many weights."""
    differs = case.measured("setting_differs")
    own, asked = case.measured("setting_trained"), case.measured("setting_configured")
    found = []
    for name, share in differs.items():
        if not name or name not in own or (share < _LEAST_SHARE and not _is_idle(name, own[name])):
            continue
        meaning = _of_another_kind(case) if name == "is_adam" else _meaning(name, own[name], asked[name])
        if meaning is not None:
            found.append((meaning, name, share))
    if not found:
        return _layers(case)
    found.sort(key=lambda entry: -entry[0][0])
    confidence, causes = found[0][0][0], tuple(dict.fromkeys(cause for (_, named), _, _ in found for cause in named))
    texts = [f"{name} {own[name]:.3g}, configured {asked[name]:.3g}, for {share:.0%} of the weights" for _, name, share in found]
    return Finding(
        code=CODE,
        title="The optimiser is not set as configured",
        severity="pipeline",
        confidence=confidence,
        evidence=tuple(Evidence(text, share, 0.0, _SOURCE) for text, (_, _, share) in zip(texts, found, strict=True)),
        causes=causes,
        refuted_by="parameter groups that hold the configured settings just before optimizer.step()",
        next_test="print optimizer.param_groups, without their tensors, beside the configuration",
        remedies=("repair_settings",),
    )


def judge_formula(case: Case) -> Verdict:
    """Fire where the same gradients, from the first step on, move the weights otherwise than the configured optimiser does."""
    cosine, ratio = case.measured("update_cosine").get(""), case.measured("update_ratio").get("", 1.0)
    if cosine is None or (cosine > _SAME_WAY and 1 - _SAME_LENGTH < ratio < 1 + _SAME_LENGTH):
        return None
    if isinstance(judge(case), Finding):
        return None  # a setting that differs explains it
    text = f"the first updates have a cosine of {cosine:.2f} to the configured optimiser's, and {ratio:.2g} times their length"
    shorter, longer = ratio < 1 / _FACTOR, ratio > _FACTOR
    rate = ("learning-rate-too-low",) if shorter else ("learning-rate-too-high",) if longer or cosine == 0 else ()
    return Finding(
        code=CODE,
        title="The optimiser does not update as configured",
        severity="pipeline",
        confidence=0.85,
        evidence=(Evidence(text, cosine, 1.0, "probe update_formula"),),
        causes=("wrong-update", *rate),
        refuted_by="an optimiser of your own that is meant",
        next_test="give torch's optimiser of that name the same gradients for four steps, and compare the weights",
        remedies=("repair_settings",),
    )


def _layers(case: Case) -> Verdict:
    """Rates that differ from layer to layer: few weights may stand in the layers that hardly learn."""
    share, furthest = case.measured("rates_far").get("", 0.0), case.measured("rate_furthest").get("", 1.0)
    if share < _MANY_LAYERS:
        return None
    text = f"the rate of {share:.0%} of the tensors is off by a factor of 3 or more; {furthest:.2g} times the configured at most"
    return Finding(
        code=CODE,
        title="Layers have other rates than configured",
        severity="pipeline",
        confidence=0.7,
        evidence=(Evidence(text, furthest, 1.0, _SOURCE),),
        causes=("learning-rate-too-low", "layers-frozen") if furthest < 1 else ("learning-rate-too-high",),
        refuted_by="a decay of rates from layer to layer that is meant",
        next_test="print the rate of every parameter group beside its layer",
        remedies=("repair_settings",),
    )


def _is_idle(name: str, own: float) -> bool:
    """A group at rate 0 counts however small it is: a classifier is small and nothing works without it."""
    return name == "rate" and own == 0


def _of_another_kind(case: Case) -> tuple[float, tuple[str, ...]]:
    """Rates of two kinds of optimiser say nothing of each other; how far a step moves the weights does."""
    says = motion_says(case)
    if says == "low":  # or one step that was far too long has left weights that later ones hardly move
        return 0.7, ("learning-rate-too-low", "learning-rate-too-high")
    return (0.8 if says == "high" else 0.6), ("learning-rate-too-high", *(() if says == "high" else ("learning-rate-too-low",)))


def _meaning(name: str, own: float, asked: float) -> tuple[float, tuple[str, ...]] | None:
    """Return (confidence, causes) of a setting, or None for one that does no harm."""
    higher, far = own > asked, not (asked / _FACTOR < own < asked * _FACTOR)
    if name == "rate":
        if own == 0:
            return 0.9, ("learning-rate-zero", "layers-frozen")
        return (0.7, ("learning-rate-too-low", "learning-rate-too-high")) if far else None
    if name == "weight_decay":
        return (0.85, ("weight-decay-too-strong",)) if higher and far and asked > 0 else None
    if name == "eps":
        return (0.85, ("epsilon-too-large",)) if own > _LARGE_EPSILON and far else None
    if name in ("momentum", "beta of squares"):
        slow = ("gradients-accumulate", "learning-rate-too-low", "learning-rate-too-high")
        return 0.65, slow if higher else ("learning-rate-too-high", "learning-rate-too-low")
    return (0.6, ("learning-rate-too-high", "learning-rate-too-low")) if name == "maximize" else None
