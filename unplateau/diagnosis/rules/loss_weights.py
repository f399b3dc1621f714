"""The weights of the losses are not those of the configuration.

What it is
    In a log that has the total loss and its parts, the total tells the weight of each part: the weights that make the parts add
    up to the total in every line. They are compared with the configured ones.

Why it happens
    A weight typed wrongly or read from another key, a loss that is computed and shown but left out of the sum.

How it was seen
    deep-person-reid#357: cross-entropy shown at 6.66 with weight 0; adding it brought 40.9 % mAP against 5.7 %.

What to do
    Print the weights where the losses are added. Give cross-entropy and triplet loss a weight of 1 each.

Source
    Least squares over the lines of the log. Silent where the parts do not explain the total, and where they add up with weight
    1 each: then the trainer wrote them with their weights.
"""

from __future__ import annotations

import numpy as np

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "loss-weights-not-as-configured"
_PARTS = ("cross_entropy", "triplet")
_FEWEST_LINES = 4
_LEFT_OVER = 0.01  # of the total; logs are rounded to three digits
_FACTOR = 3.0
_DROWNED = 10.0  # times its parts; a total of another convention stays below
_CONSTANT, _VARIES = 1e-4, 0.1  # of the mean
_SAME = 1.05  # times
BELOW_DECAY = 1e-3  # times the losses: recipes decay by 5e-4 of a weight
_SOURCE = "log, total against its parts"
_NOTHING = 0.05  # of the configured weight


def judge(case: Case) -> Verdict:
    """Fire where the total is the sum of its parts with other weights than asked for."""
    asked = _asked(case)
    found = _weights(case)
    if any(weight is None for weight in asked.values()):
        return None
    if found is None:
        return _extra(case, {name: weight or 0.0 for name, weight in asked.items()})
    off = {name: (found[name], asked[name] or 0.0) for name in _PARTS if _is_off(found[name], asked[name] or 0.0)}
    if not off or all(abs(weight - 1) < _NOTHING for weight in found.values()):
        return None
    lines = [f"weight of {name} {weight:.3g}, configured {wanted:.3g}" for name, (weight, wanted) in off.items()]
    shares = [found[name] / asked[name] for name in _PARTS if asked[name]]  # type: ignore[operator]
    if len(shares) > 1 and max(shares) < _SAME * min(shares):  # the weights' balance is as asked for: a factor is a rate
        rate = "learning-rate-too-low" if shares[0] < 1 else "learning-rate-too-high"
        drowned = ("weight-decay-too-strong",) if shares[0] < BELOW_DECAY else ()
        return _of_a_factor(tuple(Evidence(line, None, None, _SOURCE) for line in lines), (rate, *drowned))
    missing = "cross_entropy" in off and off["cross_entropy"][0] < _NOTHING * off["cross_entropy"][1]
    return Finding(
        code=CODE,
        title="The losses are not added with the configured weights",
        severity="pipeline",
        confidence=0.95,
        evidence=tuple(Evidence(line, *off[name], _SOURCE) for name, line in zip(off, lines, strict=True)),
        causes=("cross-entropy-missing", "loss-weights-unbalanced") if missing else ("loss-weights-unbalanced",),
        refuted_by="a part of the total that the log does not show",
        next_test="print the weights where the losses are added",
        remedies=("add_cross_entropy", "rebalance_losses") if missing else ("rebalance_losses",),
    )


def judge_constant(case: Case) -> Verdict:
    """Fire where the total stays the same while its parts do not."""
    lines = _lines(case)
    asked = _asked(case)
    if lines is None or not all(asked.values()):
        return None
    total, parts = lines[:, 0], lines[:, 1:] @ np.array([asked[name] for name in _PARTS], dtype=float)
    if np.ptp(total) > _CONSTANT * np.abs(total).mean() or np.ptp(parts) < _VARIES * np.abs(parts).mean():
        return None
    text = f"the total is {total.mean():.4g} in every line, while its parts go from {parts.max():.3g} to {parts.min():.3g}"
    return Finding(
        code=CODE,
        title="The total does not follow its parts",
        severity="pipeline",
        confidence=0.7,
        evidence=(Evidence(text, float(total.mean()), float(parts.mean()), _SOURCE),),
        causes=("no-gradient", "detached-branch", "gradient-clipped-away", "loss-weights-unbalanced"),
        refuted_by="a total that changes with its parts in the training step",
        next_test="print the total beside the sum of its parts: a clamp, or a division by itself, leaves nothing to follow",
        remedies=("restore_gradient", "rebalance_losses"),
    )


def _of_a_factor(evidence: tuple[Evidence, ...], causes: tuple[str, ...]) -> Finding:
    return Finding(
        code=CODE,
        title="One factor stands before all losses",
        severity="pipeline",
        confidence=0.72,
        evidence=evidence,
        causes=(*causes, "loss-weights-unbalanced"),
        refuted_by="a factor that is meant, as of accumulated batches; Adam takes no notice of it until weight decay is larger",
        next_test="print the total beside the sum of its parts in the training step",
        remedies=("repair_step", "rebalance_losses"),
    )


def _extra(case: Case, asked: dict[str, float]) -> Finding | None:
    """The total is several times what its parts explain, with the configured weights or as they are."""
    lines = _lines(case)
    if lines is None or not all(asked.values()):
        return None  # a loss that is not shown may be configured
    parts = np.maximum(lines[:, 1:] @ [asked[name] for name in _PARTS], lines[:, 1:].sum(1))
    factor = float(np.median(lines[:, 0] / np.maximum(parts, 1e-9)))
    if factor < _DROWNED:
        return None
    text = f"the total is {factor:.3g} times the sum of cross-entropy and triplet loss"
    return Finding(
        code=CODE,
        title="Something that the log does not show is added to the losses",
        severity="pipeline",
        confidence=0.7,
        evidence=(Evidence(text, factor, 1.0, _SOURCE),),
        causes=("loss-weights-unbalanced",),
        refuted_by="another loss that is meant, at this weight",
        next_test="print every term of the total with its weight",
        remedies=("rebalance_losses",),
    )


def _asked(case: Case) -> dict[str, float | None]:
    return {"cross_entropy": case.facts.cross_entropy_weight, "triplet": case.facts.triplet_weight}


def _lines(case: Case) -> np.ndarray | None:
    """Total and parts of the lines that have them all."""
    if case.log is None:
        return None
    rows = [[point.values.get(name, np.nan) for name in ("total", *_PARTS)] for point in case.log.points]
    lines = np.array([row for row in rows if np.isfinite(row).all()], dtype=float)
    return lines if len(lines) >= _FEWEST_LINES else None


def _weights(case: Case) -> dict[str, float] | None:
    if (lines := _lines(case)) is None:
        return None
    total, parts = lines[:, 0], lines[:, 1:]
    if np.ptp(total) < _CONSTANT * np.abs(total).mean():
        return None  # whatever it is made of, it does not show: `judge_constant`
    weights, _, rank, _ = np.linalg.lstsq(parts, total, rcond=1e-6)
    if rank < len(_PARTS) or np.abs(parts @ weights - total).max() > _LEFT_OVER * np.abs(total).mean():
        return None
    return dict(zip(_PARTS, weights.tolist(), strict=True))


def _is_off(found: float, asked: float) -> bool:
    if asked == 0:
        return False  # a part that is shown and not trained; its weight is told badly where it is small
    return found < asked / _FACTOR or found > asked * _FACTOR
