"""The losses that are trained are not those of the configuration.

What it is
    Each loss is computed twice on one batch: as the training computes it, and as the configuration says. Value or weight differ.

Why it happens
    Losses built before a setting is read, a default that wins over the file, label smoothing applied twice or read from another
    key, a margin on another scale.

How it was seen
    Configurations of re-ID projects set label smoothing and margins in several places; the one that counts is not always the one
    that is edited.

What to do
    Print margin, smoothing and weight of the loss objects that the training step calls.

Source
    Label smoothing that explains a value: Szegedy et al. 2016, section 7, solved for its epsilon. Tolerance ours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "losses-not-as-configured"
_SOURCE = "probe losses_as_configured"
_APART = 0.02  # of the larger value; the same batch and the same outputs, so only rounding should differ
_LEAST = 0.01  # nats
_FITS = 2e-3  # relative error in every batch
_TARGETS_KEPT, _MOSTLY_KEPT, _TURNED_ROUND = 0.9, 0.5, -0.2
_EXACTLY_NONE = 1e-6
_NEVER_ACTIVE = 0.01  # of the configured value
_SAME_GRADIENT, _GRADIENT_LESS, _GRADIENT_GONE = 0.98, 0.95, 0.01  # from the same outputs: only rounding should differ


def judge(case: Case) -> Verdict:
    """Fire where a loss has another weight or another value than it should."""
    evidence: list[Evidence] = []
    causes: list[str] = []
    is_explained = True
    for name, weight in case.measured("loss_weight_trained").items():
        wanted = case.measured("loss_weight_configured").get(name, weight)
        if abs(weight - wanted) > _APART * max(abs(weight), abs(wanted)):
            evidence.append(Evidence(f"weight of {name} {weight:.3g}, configured {wanted:.3g}", weight, wanted, _SOURCE))
            missing = name == "cross_entropy" and weight == 0
            causes += ["cross-entropy-missing"] if missing else ["loss-weights-unbalanced"]
    for name, value in case.measured("loss_trained").items():
        wanted = case.measured("loss_configured").get(name, value)
        if abs(value - wanted) > max(_LEAST, _APART * max(abs(value), abs(wanted))):
            why, named = ([], list(_NEVER[name])) if _is_never_active(case, name, value, wanted) else _explained(case, name)
            evidence += [Evidence(f"{name} {value:.3f}, as configured {wanted:.3f}", value, wanted, _SOURCE), *why]
            causes += named
            is_explained = is_explained and bool(why)
    if not evidence:
        return None
    return Finding(
        code=CODE,
        title="The losses that are trained are not those of the configuration",
        severity="pipeline",
        confidence=0.95 if is_explained else 0.65,
        evidence=tuple(evidence),
        causes=tuple(dict.fromkeys(causes)),
        refuted_by="loss objects that hold the configured margin, smoothing and weights",
        next_test="print margin, smoothing and weight of the losses inside the training step",
        remedies=("repair_losses",),
    )


def judge_targets(case: Case) -> Verdict:
    """Fire where the cross-entropy pulls images towards other labels than their own."""
    kept = case.measured("loss_targets_kept").get("cross_entropy")
    if kept is None or kept > _TARGETS_KEPT:
        return None
    if case.measured("loss_gradient_cosine").get("cross_entropy", 0.0) < _TURNED_ROUND:
        return None  # pushed away from their own label: not the labels, the sign
    text = f"{1 - kept:.0%} of the images are pulled towards another label than their own"
    # a shifted or shuffled batch leaves hardly any; a target that is shared does
    mostly_kept = kept > _MOSTLY_KEPT
    return Finding(
        code=CODE,
        title="The cross-entropy is computed with other labels than the batch's",
        severity="pipeline",
        confidence=0.75 if mostly_kept else 0.9,
        evidence=(Evidence(text, kept, 1.0, _SOURCE),),
        causes=("label-smoothing-too-strong", "loss-weights-unbalanced", "labels-noisy")
        if mostly_kept
        else ("labels-off-by-one", "labels-shuffled", "label-smoothing-too-strong"),
        refuted_by="mixed labels that are meant, as in mixup",
        next_test="print the targets that reach the cross-entropy beside the batch's labels",
        remedies=("repair_losses", "less_label_smoothing", "relabel") if mostly_kept else ("repair_losses", "relabel"),
    )


def judge_gradients(case: Case) -> Verdict:
    """Fire where a loss of the configured value hands another gradient back to the network, or none."""
    cosines, ratios = case.measured("loss_gradient_cosine"), case.measured("loss_gradient_ratio")
    off = {name: ratio for name, ratio in ratios.items() if not _differs(case, name) and _is_other(cosines.get(name), ratio)}
    if not off or isinstance(judge_targets(case), Finding):
        return None
    lines = [
        Evidence(f"{name}: {ratio:.2g} of the configured loss's gradient comes back to the network", ratio, 1.0, _SOURCE)
        for name, ratio in off.items()
    ]
    cut = all(ratio < _GRADIENT_LESS for ratio in off.values())
    gone = all(ratio < _GRADIENT_GONE for ratio in off.values())
    # other pairs are compared, or other distances
    mined = ("margin-wrong", "triplet-collapse") if set(off) == {"triplet"} and not gone else ()
    faint = gone and all(ratio > _EXACTLY_NONE for ratio in off.values())  # there is a way back, and hardly anything on it
    return Finding(
        code="gradient-not-of-losses",
        title="A loss has the right value and hands back another gradient",
        severity="pipeline",
        confidence=0.7 if faint or not cut else 0.95 if gone else 0.85,
        evidence=tuple(lines),
        causes=(*(("missing-cosine-scale",) if faint else ()), "detached-branch", "no-gradient", *mined)
        if cut
        else ("detached-branch", "loss-weights-unbalanced", "wrong-head", *mined),
        refuted_by="a stop-gradient that is meant",
        next_test="call backward on each loss alone and print the gradient of the features",
        remedies=("restore_gradient", "repair_losses"),
    )


def _is_other(cosine: float | None, ratio: float) -> bool:
    return cosine is None or cosine < _SAME_GRADIENT or not _GRADIENT_LESS < ratio < 1 / _GRADIENT_LESS


def judge_smoothing(case: Case) -> Verdict:
    """Fire where half of the target or more is spread over all identities, on purpose or not."""
    smoothing, eps = case.facts.label_smoothing, case.measured("effective_smoothing").get("")
    if eps is not None and _differs(case, "cross_entropy") and not _fits(case, "cross_entropy: label smoothing"):
        eps = None  # the loss differs by something else
    used = smoothing if eps is None else eps
    if used is None or not _TOO_MUCH <= used <= 1.0:
        return None
    return Finding(
        code="label-smoothing-too-strong",
        title="Label smoothing leaves little to learn",
        severity="optimisation",
        confidence=0.85,
        evidence=(
            Evidence(f"label smoothing {used:.2f}; recipes use 0.1", used, 0.1, "configuration" if eps is None else _SOURCE),
        ),
        causes=("label-smoothing-too-strong",),
        refuted_by="the same run with 0.1 that is no better",
        next_test="one run with CE.EPSILON 0.1",
        remedies=("less_label_smoothing",),
    )


def _from_targets(case: Case) -> float | None:
    """What the targets that the loss must have used take from the own label, where all others share it evenly."""
    own, spread = case.measured("target_own").get("cross_entropy"), case.measured("target_spread").get("cross_entropy", 1.0)
    return None if own is None or spread > _EVENLY or not 0 <= own <= 1 else 1 - own


_TOO_MUCH, _EVENLY = 0.45, 1e-3
_OTHER_PAIRS, _ONE_DIRECTION = 0.5, 0.98  # cosines: another margin leaves most pairs; a sum for a mean, or a weight, leaves all


def _differs(case: Case, name: str) -> bool:
    value, wanted = case.measured("loss_trained").get(name), case.measured("loss_configured").get(name)
    return value is not None and wanted is not None and abs(value - wanted) > max(_LEAST, _APART * max(abs(value), abs(wanted)))


def _is_never_active(case: Case, name: str, value: float, wanted: float) -> bool:
    is_small = abs(value) <= _NEVER_ACTIVE * abs(wanted)
    return is_small and case.measured("loss_gradient_ratio").get(name, 0.0) < _GRADIENT_GONE


def _fits(case: Case, what: str) -> bool:
    error = case.measured("loss_explained").get(what)
    return error is not None and error < _FITS


def _explained(case: Case, name: str) -> tuple[list[Evidence], list[str]]:
    """Return what gives the loss its value in every batch, and its causes; no evidence and all causes where nothing does."""
    if case.measured("loss_gradient_ratio").get(name, 1.0) < _GRADIENT_GONE:
        evidence = Evidence(f"nothing of {name} comes back to the network: a clamp, or a number", 0.0, 1.0, _SOURCE)
        return [evidence], ["detached-branch", "no-gradient", *(["cross-entropy-missing"] if name == "cross_entropy" else [])]
    known = [what for what in case.measured("loss_explained") if what.startswith(f"{name}: ") and _fits(case, what)]
    best = min(known, key=lambda what: case.measured("loss_explained")[what], default=None)
    spread_out = _from_targets(case) if name == "cross_entropy" else None
    if best is None and spread_out is not None and spread_out >= _TOO_MUCH:
        text = f"the targets it must have used give the own label {1 - spread_out:.0%}, and all others the same"
        return [Evidence(text, 1 - spread_out, 0.9, _SOURCE)], ["label-smoothing-too-strong"]
    cosine = case.measured("loss_gradient_cosine").get(name, 1.0)
    if best is None and name == "triplet" and cosine < _OTHER_PAIRS:
        text = f"its gradient has a cosine of {cosine:.2f} with the configured one's: it compares other pairs"
        return [Evidence(text, cosine, 1.0, _SOURCE)], list(_OTHER_TRIPLETS)
    if best is None and cosine > _ONE_DIRECTION:
        # the same pairs, pulled as they should
        possible = [cause for cause in _POSSIBLE.get(name, ()) if cause != "triplet-collapse"]
        return [], list(dict.fromkeys(["loss-weights-unbalanced", *possible]))
    if best is None:
        return [], list(_POSSIBLE.get(name, ("loss-weights-unbalanced",)))
    error, what = case.measured("loss_explained")[best], best.removeprefix(f"{name}: ")
    causes = next((causes for start, causes in _MEANS.items() if what.startswith(start)), ("loss-weights-unbalanced",))
    eps = case.measured("effective_smoothing").get("")
    number = f" of {eps:.2f}" if what == "label smoothing" and eps is not None else ""
    return [Evidence(f"in every batch this is explained by: {what}{number}", error, 0.0, _SOURCE)], list(causes)


_MEANS: dict[str, tuple[str, ...]] = {
    "label smoothing": ("label-smoothing-too-strong",),
    "softmax twice": ("softmax-before-ce",),
    "cosines": ("missing-cosine-scale",),
    "labels": ("labels-off-by-one", "labels-shuffled"),
    "margin": ("margin-wrong",),
    "unit length": ("margin-wrong",),
    "turned round": ("margin-wrong", "loss-weights-unbalanced"),
}
_NEVER: Mapping[str, tuple[str, ...]] = defaultdict(
    lambda: ("loss-weights-unbalanced", "wrong-head"),
    {
        "triplet": ("no-positives", "margin-wrong", "loss-weights-unbalanced"),
        "cross_entropy": ("cross-entropy-missing", "loss-weights-unbalanced", "detached-branch", "wrong-head"),
    },
)
"""Of a loss that is 0 where it should not be: any factor of 0 explains that."""
_OTHER_TRIPLETS = ("labels-off-by-one", "no-positives", "margin-wrong", "triplet-collapse", "loss-weights-unbalanced")
"""Of a triplet loss that compares other pairs: by their labels, by its mining, or by what it asks of them."""
_POSSIBLE: dict[str, tuple[str, ...]] = {
    "cross_entropy": (
        "wrong-head",
        "softmax-before-ce",
        "labels-off-by-one",
        "label-smoothing-too-strong",
        "loss-weights-unbalanced",
    ),
    "triplet": _OTHER_TRIPLETS,
}
