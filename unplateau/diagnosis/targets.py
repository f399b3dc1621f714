"""The table that was asked for: metric, current, status, target, with landmarks for the targets instead of guesses."""

from __future__ import annotations

from dataclasses import dataclass

from unplateau.curves.landmarks import label_smoothing_floor
from unplateau.diagnosis.case import Case, Curve
from unplateau.diagnosis.landmarks_of import collapsed_triplet, floor, guessed_starts, head_starts, matching_start, uniform
from unplateau.diagnosis.schedule_view import usual_rate

_DRIFT_OF_LEVEL = 0.02
_USUAL_SMOOTHING = 0.1  # of every recipe that smooths
_DECIMALS_BELOW = 0.01  # two digits would make one number of two that differ


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    metric: str
    current: str
    status: str
    target: str


def target_table(case: Case) -> tuple[Row, ...]:
    """Return a row for each curve that the log has; targets are landmarks, and say which."""
    makers = {
        "cross_entropy": _cross_entropy, "triplet": _triplet, "total": _total, "accuracy": _accuracy, "mAP": _score,
        "learning_rate": _rate,
    }  # fmt: skip
    rows = []
    for name, make in makers.items():
        curve = case.curve(name)
        if curve is not None:
            rows.append(make(case, curve))
    return tuple(rows)


def _cross_entropy(case: Case, curve: Curve) -> Row:
    start, low, starts = matching_start(case, curve), floor(case), head_starts(case)
    identities = f" ({case.facts.num_identities} identities)" if case.facts.num_identities else ""
    status = _course(curve)
    if start is not None:
        status += f", at its initial value {start.start.mean:.3f}"
    elif (ln_i := uniform(case)) is not None and starts:
        share = (starts[0].start.mean - curve.latest) / (starts[0].start.mean - (low or 0.0))
        status += f", {share:.0%} of the way to its floor" if share > 0 else f", above ln I = {ln_i:.3f}"
    return Row(f"CE loss{identities}", _range(curve), status, _cross_entropy_target(case, curve))


def _cross_entropy_target(case: Case, curve: Curve) -> str:
    low, starts = floor(case), head_starts(case)
    if low is None or not starts:
        guess = next(iter(guessed_starts(case, curve)), None)
        start = "" if guess is None else f"; {guess[0]} ({guess[1]}) starts at {guess[2].start.mean:.3f}"
        return f"give --num-identities{start}"
    smoothing = "" if case.facts.label_smoothing is not None else f" ({_smoothed(case):.3g} with label smoothing 0.1)"
    return f"below {starts[0].start.mean:.3f} in the first epoch, then towards {low:.3g}{smoothing}"


def _smoothed(case: Case) -> float:
    return label_smoothing_floor(case.facts.num_identities or 1, _USUAL_SMOOTHING)


def _triplet(case: Case, curve: Curve) -> Row:
    value = collapsed_triplet(case)
    assumed = "" if case.facts.margin is not None else " (margin assumed)"
    status = _course(curve)
    if abs(curve.latest - value) < 0.03 * value:
        status += ", at its collapse value"
    elif curve.latest > 1.1 * value:
        status += ", above its margin"
    return Row("triplet loss", _range(curve), status, f"below {value:.3g}{assumed}: positives nearer than negatives")


def _total(case: Case, curve: Curve) -> Row:
    starts = head_starts(case)
    if case.curve("cross_entropy") is not None or not starts:
        return Row("total loss", _range(curve), _course(curve), "follows from its parts")
    target = f"falls in the first epoch; {starts[0].start.mean:.3f} is an untrained classifier's share"
    return Row("total loss", _range(curve), _course(curve), target)


def _accuracy(case: Case, curve: Curve) -> Row:
    chance = "" if not case.facts.num_identities else f"chance is {1 / case.facts.num_identities:.2%}; "
    return Row("classifier accuracy", _range(curve, percent=True), _course(curve), f"{chance}near 100 % at the end")


def _score(case: Case, curve: Curve) -> Row:
    chance = case.facts.chance_map
    low = f"above chance, {chance:.1%}" if chance else "above untrained features, 1-3 % on Market-1501"
    return Row("validation mAP", _range(curve, percent=True), _course(curve), f"{low}; recipes reach 85 % on its test set")


def _rate(case: Case, curve: Curve) -> Row:
    usual, optimizer = usual_rate(case), case.facts.optimizer or "Adam"
    return Row("learning rate", f"{curve.y[-1]:.3g}", "as logged", f"{usual:g} with {optimizer} in the published CNN recipes")


def _course(curve: Curve) -> str:
    if len(curve.y) < 4:
        return "too few points"
    if curve.slope.high < 0 and -curve.drift > _DRIFT_OF_LEVEL * abs(curve.level):
        return "falling"
    if curve.slope.low > 0 and curve.drift > _DRIFT_OF_LEVEL * abs(curve.level):
        return "rising"
    return "flat" if curve.is_stationary(2 * _DRIFT_OF_LEVEL * abs(curve.level)) else "unsteady"


def _range(curve: Curve, *, percent: bool = False) -> str:
    low, high = float(curve.y.min()), float(curve.y.max())
    if percent:
        return f"{low:.1%}-{high:.1%}"
    digits = 3 if high - low < _DECIMALS_BELOW else 2
    return f"{low:.{digits}f}-{high:.{digits}f}"
