"""The weights do not move.

What it is
    Step after step is computed, and no weight changes. The cross-entropy stays where a random head starts, to the second or
    third digit, for epochs; the triplet loss stays above its margin and flat, because random features are neither learned nor
    collapsed. Everything else looks normal: gradients are computed, the learning rate is logged, epochs go by.

Why it happens
    The optimiser holds tensors that are not the model's, or never sees their gradients (stale-optimizer); the rate that reaches
    it is 0 (learning-rate-zero); no parameter asks for a gradient (everything-frozen); a gradient scaler finds infinities in
    every step and skips it (scaler-always-skips); or backward is not called (no-gradient). From a log alone these cannot be told
    apart.
    No hyper-parameter helps: a learning rate multiplies a step that is not taken, and every run compares copies of one
    untrained network.

How it was seen
    JDAI-CV/fast-reid#750: CE 6.73, triplet 33.9, mAP .98 at epoch 90 with the defaults: since torch 2.0 zero_grad() sets
    gradients to None, and the flat buffers of its optimiser lose theirs at the first step; contiguous=False cured it.
    fast-reid#700, #704, BoT-SORT#85: the same under mixed precision says "No inf checks were recorded for this optimizer",
    which is the only alarm there is. CLIP-ReID#51: stage 2 did not update with two identities.
    Measured on Market-1501 with that optimiser: 60 steps, total weight change exactly 0.0, gradient norms in the thousands.

What to do
    Prove it: solve_plateau.py --checkpoints A B, with two checkpoints an epoch apart. Exactly 0 = never updated.
    fast-reid with torch >= 2.0: build the optimiser with contiguous=False (fastreid/solver/build.py), or call
    optimizer.zero_grad(set_to_none=False). Else: after building model and optimiser compare id(p) of every p in
    optimizer.param_groups with model.parameters(), and move the model to its device before the optimiser is built.
    Or train the same recipe here, where preflight sees the weights move before the first epoch is spent.

Source
    E[CE] of a head N(0, sigma²) on a batch-normalised d-dimensional feature is ln I + d sigma²/2 (`curves.landmarks`).
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case, Curve
from unplateau.diagnosis.landmarks_of import HeadStart, collapsed_triplet, head_starts, matching_start
from unplateau.diagnosis.schedule_view import in_warm_up, is_rate_off, peak_rate
from unplateau.diagnosis.verdict import Abstained, Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "weights-not-updated"
_FEWEST_POINTS = 4
_FEWEST_ITERATIONS = 50
_ABOVE_MARGIN = 1.1  # a triplet loss within 10 % of its collapse value says nothing about stillness
_TRIPLET_DRIFT = 0.12  # of its level; a frozen net's wanders by a few per cent, a learning one's falls by half within epochs
_TRACE_RATE = 1e-9  # nobody trains with it: the logged rate is zero for all purposes


def judge(case: Case) -> Verdict:
    """Compare the cross-entropy with the start of its head; the triplet loss tells stillness from collapse."""
    curve = case.curve("cross_entropy")
    if curve is None:
        return None if case.log is None or case.curve("total") else Abstained("the log has no loss")
    if case.facts.num_identities is None:
        return Abstained("the start of the cross-entropy depends on the number of identities", ("--num-identities",))
    if case.has_moved:
        return None  # two checkpoints show motion: refuted
    if in_warm_up(case) or len(curve.y) < _FEWEST_POINTS or (curve.unit == "iteration" and curve.span < _FEWEST_ITERATIONS):
        return Abstained("too early: every training is near its start in its first steps")
    start = matching_start(case, curve)
    if start is None or not _stays(curve, start) or _is_rate_low(case):
        return None  # a rate far below the configured one explains it: `rate_not_as_configured`
    return _finding(case, curve, start)


def still_causes(case: Case) -> tuple[str, ...]:
    """Return the causes of stillness that nothing known rules out, the likeliest first."""
    rate = peak_rate(case)
    if rate is not None and rate <= _TRACE_RATE:
        return ("learning-rate-zero",)
    causes = ["stale-optimizer", "everything-frozen", "learning-rate-zero", "scaler-always-skips", "no-gradient"]
    if rate is not None:
        causes.remove("learning-rate-zero")
    if case.facts.mixed_precision is False or "mixed-precision-turned-off" in case.symptoms:
        causes.remove("scaler-always-skips")
    elif "scheduler-before-optimizer" in case.symptoms and "no-inf-checks" not in case.symptoms:
        causes.insert(0, causes.pop(causes.index("scaler-always-skips")))
    return tuple(causes)


def _is_rate_low(case: Case) -> bool:
    rate = peak_rate(case)
    return is_rate_off(case) and rate is not None and rate > _TRACE_RATE


def _stays(curve: Curve, start: HeadStart) -> bool:
    return (
        curve.is_stationary(start.tolerance) and abs(curve.latest - start.start.mean) <= start.tolerance + curve.slope.noise.std
    )


def _finding(case: Case, curve: Curve, start: HeadStart) -> Verdict:
    triplet = case.curve("triplet")
    kind = _triplet_kind(case, triplet)
    if kind == "falling":
        return None  # the backbone learns: `classifier_not_trained`
    confidence = {"still": 0.9, "collapsed": 0.35, "absent": 0.6, "moving": 0.4}[kind]
    if "no-inf-checks" in case.symptoms and kind != "collapsed":
        confidence = max(confidence, 0.8) + 0.06
    if not start.is_known:
        confidence -= 0.05
    evidence = [_cross_entropy_evidence(case, curve, start), *_triplet_evidence(case, triplet, kind), *_other_evidence(case)]
    return Finding(
        code=CODE,
        title="The loss is at its initial value: the weights are most likely not updated",
        severity="pipeline",
        confidence=round(confidence, 2),
        evidence=tuple(evidence),
        causes=still_causes(case) if kind != "collapsed" else (*still_causes(case), "triplet-collapse"),
        refuted_by="two checkpoints of this run, an epoch apart, whose weights (not batch-norm buffers) differ",
        next_test="solve_plateau.py --checkpoints A B with two checkpoints of this run: exactly 0 change is the proof",
        remedies=("fix_optimizer", "restore_learning_rate", "unfreeze", "fix_mixed_precision"),
    )


def _triplet_kind(case: Case, triplet: Curve | None) -> str:
    if triplet is None or case.facts.triplet_weight == 0 or len(triplet.y) < _FEWEST_POINTS:
        return "absent"
    if triplet.level <= _ABOVE_MARGIN * collapsed_triplet(case):
        return "falling" if triplet.is_falling(_TRIPLET_DRIFT * triplet.first) else "collapsed"
    if triplet.is_falling(_TRIPLET_DRIFT * triplet.level) and triplet.latest < 0.9 * triplet.first:
        return "falling"
    return "still" if triplet.is_stationary(_TRIPLET_DRIFT * triplet.level) else "moving"


def _cross_entropy_evidence(case: Case, curve: Curve, start: HeadStart) -> Evidence:
    mean, spread = start.start
    ratio = "its head" if start.is_known else "the head it matches"
    others = "" if start.is_known or len(head_starts(case)) < 2 else "; --feature-dim and --initial-std make sure of the head"
    return Evidence(
        f"cross-entropy {curve.y.min():.2f}-{curve.y.max():.2f}, flat; an untrained classifier of {case.facts.num_identities} "
        f"identities starts at {mean:.3f} ± {spread:.3f} ({ratio}, {start.head}{others})",
        curve.level,
        mean,
        curve.where(),
    )


def _triplet_evidence(case: Case, triplet: Curve | None, kind: str) -> list[Evidence]:
    margin = collapsed_triplet(case)
    if triplet is None or kind == "absent":
        return [Evidence("no triplet loss in the log: labels that cannot be learned are not excluded", None, None, "log")]
    words = {
        "still": "flat and above its margin: the features are neither learned nor collapsed, they are frozen",
        "collapsed": "at its margin: the features may as well have collapsed to a point",
        "moving": "not flat: something moves",
    }[kind]
    assumed = "" if case.facts.margin is not None else " (0.3 assumed; --margin)"
    text = f"triplet loss {triplet.y.min():.2g}-{triplet.y.max():.2g}, {words}; collapse would be at {margin:.3g}{assumed}"
    return [Evidence(text, triplet.level, margin, triplet.where())]


def _other_evidence(case: Case) -> list[Evidence]:
    evidence = []
    if "no-inf-checks" in case.symptoms:
        text = (
            '"No inf checks were recorded for this optimizer": the optimiser saw no gradient at all, which is a stale optimiser'
        )
        evidence.append(Evidence(text, source="symptom"))
    rate = peak_rate(case)
    if rate is not None:
        words = "it is 0: nothing can move" if rate <= _TRACE_RATE else "not 0, which rules learning-rate-zero out if it arrives"
        evidence.append(Evidence(f"learning rate {rate:.3g}: {words}", rate, 0.0, "log"))
    if case.facts.mixed_precision is False or "mixed-precision-turned-off" in case.symptoms:
        evidence.append(
            Evidence("mixed precision is off, which rules scaler-always-skips out", source="configuration or symptom")
        )
    score = case.curve("mAP")
    if score is not None and len(score.y) > 1:
        text = f"mAP {score.y.min():.2%} to {score.y.max():.2%}: that of features that were never trained"
        evidence.append(Evidence(text, score.latest, None, score.where()))
    return evidence
