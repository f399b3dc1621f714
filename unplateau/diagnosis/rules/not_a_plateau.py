"""This is not a plateau.

What it is
    A curve that looks stuck and is not: still improving (still-improving), too short or noisy to tell (undecided), in warm-up
    (in-warm-up), flat before a scheduled drop of the learning rate (before-drop), or done (finished: at the floor that label
    smoothing sets, or at the end of its schedule). And the other way round a real one: flat, away from every landmark, with
    steps left (plateau).

Why it happens
    Healthy step-schedule runs are flat before every milestone. With label smoothing .1 a perfect classifier of 751 identities
    has a cross-entropy of .986, not 0. Small batches make noisy curves.

How it was seen
    pytorch#30873, Lightning#17736: rules that compare with the best value ever call recovery from a spike a plateau.
    The healthy fast-reid run in our tests is near its initial loss for two epochs and learns.

What to do
    Wait for the drop; take it earlier (SOLVER.ON_PLATEAU drop); for a real plateau anneal, drop, or change one thing at a time
    and compare with an unchanged control.

Source
    Szegedy 2016 (label smoothing); `curves.flatness` states its four conditions.
"""

from __future__ import annotations

from unplateau.curves.flatness import FEWEST_POINTS, Ahead, Flatness, judge_flatness
from unplateau.diagnosis.case import Case, Curve
from unplateau.diagnosis.landmarks_of import floor, has_learned, head_starts
from unplateau.diagnosis.schedule_view import ahead, warm_up_end
from unplateau.diagnosis.verdict import Abstained, Verdict
from unplateau.runs.record import Evidence, Finding

CODES = ("still-improving", "undecided", "in-warm-up", "before-drop", "finished", "plateau")
_MAP_THAT_MATTERS = 0.005  # half a point; below it re-runs differ more
_LOSS_THAT_MATTERS = 0.02  # of the loss
_FLOOR_SHARE = 0.12  # of the way from floor to start: the classifier has little left to learn
_SCHEDULE_DONE = 0.97  # of the planned epochs


def judge(case: Case) -> Verdict:
    """Say what kind of flat, or not flat, this is, by validation mAP where there is enough of it, else by the loss."""
    curve = _main_curve(case)
    if curve is None:
        return _too_early(case)
    after = curve.from_x(min(warm_up_end(case, curve), float(curve.x[max(0, len(curve.x) - 6)])))
    higher = curve.name == "mAP"
    matters = _MAP_THAT_MATTERS if higher else _LOSS_THAT_MATTERS * abs(after.latest)
    flat = judge_flatness(after.x, after.y, ahead=_ahead(case, after), gain_that_matters=matters, lower_is_better=not higher)
    kind = _kind(case, flat)
    return None if kind is None else _finding(case, kind, after, flat)


def _main_curve(case: Case, *, fewest: int = FEWEST_POINTS) -> Curve | None:
    curves = [case.curve(name) for name in ("mAP", "cross_entropy", "total", "triplet")]
    return next((curve for curve in curves if curve is not None and len(curve.y) >= fewest), None)


def _too_early(case: Case) -> Verdict:
    curve = _main_curve(case, fewest=1)
    if curve is None:
        return Abstained("no loss and no mAP")
    evidence = (
        Evidence(f"{_name(curve)} has {len(curve.y)} of the {FEWEST_POINTS} points that are needed", source=curve.where()),
    )
    return Finding("undecided", "Too early to say", "info", 0.7, evidence, next_test="the same command after a few more epochs")


def _kind(case: Case, flat: Flatness) -> str | None:
    if flat.verdict == "in-warm-up":
        return "in-warm-up"
    if flat.verdict in ("improving", "undecided"):
        return _not_flat(case, flat)
    if _at_floor(case) or _is_over(case):
        return "finished" if has_learned(case) else None
    if flat.verdict == "before-drop":
        return "before-drop"
    return "plateau" if flat.verdict == "flat" and has_learned(case) else None


def _not_flat(case: Case, flat: Flatness) -> str | None:
    if flat.verdict == "improving":
        return "still-improving"
    if _is_over(case):
        return "finished"
    return "undecided" if has_learned(case) else None


def _ahead(case: Case, curve: Curve) -> Ahead:
    """What the schedule holds; for a run that is over, what a third more epochs could bring."""
    return Ahead(remaining=curve.span / 3) if _is_over(case) else ahead(case, curve)


def _is_over(case: Case) -> bool:
    end = case.facts.max_epochs
    return end is not None and case.last_epoch is not None and case.last_epoch >= _SCHEDULE_DONE * end


def _at_floor(case: Case) -> bool:
    loss, low, starts = case.curve("cross_entropy"), floor(case), head_starts(case)
    if loss is None or low is None or not starts:
        return False
    return loss.latest < low + _FLOOR_SHARE * (starts[0].start.mean - low)


def _finding(case: Case, kind: str, curve: Curve, flat: Flatness) -> Finding:
    title, refuted, test, remedies, severity = _TEXTS[kind]
    if kind == "still-improving" and _is_over(case):
        title, test = "The run is over and was still improving", "more epochs (MAX_EPOCH), from the last checkpoint"
    reasons = "; ".join(flat.reasons).replace("per unit", f"per {curve.unit}")
    evidence = [Evidence(f"{_name(curve)}: {reasons}", curve.latest, None, curve.where())]
    evidence.append(
        Evidence(
            f"robust slope {flat.slope.value:+.2g} per {curve.unit} (95 % {flat.slope.low:+.2g} to {flat.slope.high:+.2g}), "
            f"noise {flat.slope.noise.std:.2g}", flat.slope.value, 0.0, curve.where(),
        )
    )  # fmt: skip
    low, loss = floor(case), case.curve("cross_entropy")
    if kind == "finished" and low is not None and loss is not None:
        evidence.append(Evidence(f"cross-entropy {loss.latest:.2f}, floor {low:.3f}", loss.latest, low, loss.where()))
    causes = ("finished",) if kind == "finished" else ()
    return Finding(kind, title, severity, 0.7, tuple(evidence), causes, refuted, test, remedies)


def _name(curve: Curve) -> str:
    return {"mAP": "validation mAP", "cross_entropy": "cross-entropy"}.get(curve.name, curve.name)


_TEXTS: dict[str, tuple[str, str, str, tuple[str, ...], str]] = {
    "still-improving": (
        "Not a plateau: it is still improving", "a flat curve over the next epochs", "let it run on", (), "info",
    ),
    "undecided": (
        "Not decidable yet: a gain that matters is still possible within the noise", "", "more epochs, or less noisy validation",
        (), "info",
    ),
    "in-warm-up": (
        "Not a plateau: the learning rate is still warming up", "a flat curve after warm-up", "wait for the end of warm-up",
        (), "info",
    ),
    "before-drop": (
        "Not a plateau: flat before a scheduled drop of the learning rate", "no gain after the drop",
        "wait for the drop, or take it now (SOLVER.ON_PLATEAU drop)", ("drop_now",), "info",
    ),
    "finished": (
        "Finished: nothing is left to gain with this recipe", "a gain from another round at a higher rate",
        "score the best model on the test set", (), "info",
    ),
    "plateau": (
        "A real plateau: the network has learned, and at this rate nothing more comes", "a gain within the epochs left",
        "one change at a time against an unchanged control (solve_plateau.py --bursts)",
        ("cosine_annealing", "drop_now", "regularise"), "optimisation",
    ),
}  # fmt: skip
