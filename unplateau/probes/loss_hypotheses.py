"""What would explain that a loss has another value than the configuration gives it: a list of known mistakes, computed.

A mistake explains a loss where it gives its value in every batch. One batch alone can be explained by many. Cost: none beside
the outputs.

Shape legend: B batch, D feature dimension, I identities.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from unplateau.losses.pairs import mean_of_valid, pairs_of, unit_length
from unplateau.losses.triplet import hardest_distances
from unplateau.runs.record import Measurement

_ROLLS = (-2, -1, 1, 2)
_LARGEST_MARGIN = 1e4
_HALVINGS = 60
_SMALLEST_SPREAD = 1e-3  # nats; with uniform logits no smoothing can be told from another


@dataclass(frozen=True)
class Batch:
    """One batch as its losses see it."""

    features_BD: Tensor
    logits_BI: Tensor | None
    person_ids_B: Tensor
    trained: float
    """Value of the loss as the training computes it."""
    configured: float


Value = Callable[[Batch], float]


def explanations(
    name: str, batches: Sequence[Batch], *, smoothing: float, margin: float, step: int | None = None
) -> tuple[Measurement, ...]:
    """Compute every known mistake on all batches.

    Args:
        name: of the loss: "cross_entropy" or "triplet"; of others only the factor is looked at.
        batches: at least two, so that a free number found on the first is tested on the others.
        smoothing, margin: of the configuration.
        step: of the run.

    Returns:
        loss_explained for each mistake ("cross_entropy: softmax twice"): the largest relative error over batches; 0 = exactly.
    """
    known: Mapping[str, Value] = {}
    if name == "cross_entropy" and batches[0].logits_BI is not None:
        known = _of_cross_entropy(batches[0], smoothing)
    elif name == "triplet":
        known = _of_triplet(batches[0], margin)
    first = batches[0]
    factor = first.trained / first.configured if first.configured else float("nan")
    known = {"a factor": lambda batch: factor * batch.configured, **known}
    errors = {what: _error(batches, value) for what, value in known.items()}
    return tuple(Measurement("loss_explained", error, "relative", step, f"{name}: {what}") for what, error in errors.items())


def solved_smoothing(value: float, logits_BI: Tensor, person_ids_B: Tensor) -> float | None:
    """Solve value = (1 - eps) CE + eps (mean over identities of -log p) for eps; None where every eps gives the same."""
    sharp = float(F.cross_entropy(logits_BI, person_ids_B))
    apart = float(-logits_BI.log_softmax(1).mean()) - sharp
    return (value - sharp) / apart if abs(apart) > _SMALLEST_SPREAD else None


def _of_cross_entropy(first: Batch, smoothing: float) -> dict[str, Value]:
    assert first.logits_BI is not None
    eps = solved_smoothing(first.trained, first.logits_BI, first.person_ids_B)

    def entropy(logits_BI: Tensor, person_ids_B: Tensor, eps: float = smoothing, reduction: str = "mean") -> float:
        loss: Tensor = F.cross_entropy(logits_BI, person_ids_B, label_smoothing=min(max(eps, 0.0), 1.0), reduction=reduction)
        return float(loss)

    def of(change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Value:
        return lambda batch: entropy(*change(batch.logits_BI, batch.person_ids_B))  # type: ignore[arg-type]

    found = {
        "softmax twice": of(lambda logits, ids: (logits.softmax(1), ids)),
        "cosines without a scale": of(lambda logits, ids: (logits / logits.norm(dim=1, keepdim=True).clamp(min=1e-9), ids)),
        "sum over the batch": lambda batch: entropy(batch.logits_BI, batch.person_ids_B, reduction="sum"),
    }
    if eps is not None and 0 <= eps <= 1:
        found["label smoothing"] = lambda batch: entropy(batch.logits_BI, batch.person_ids_B, eps)
    for by in (-1, 1):
        found[f"labels counted {by:+d}"] = of(lambda logits, ids, by=by: (logits, (ids + by) % logits.shape[1]))  # type: ignore[misc]
    for by in _ROLLS:
        found[f"labels rolled by {by}"] = of(lambda logits, ids, by=by: (logits, ids.roll(by)))  # type: ignore[misc]
    return found


def _of_triplet(first: Batch, configured_margin: float) -> dict[str, Value]:
    def hinge(batch: Batch, margin: float, *, sign: float = 1.0, by: int = 0, unit: bool = False) -> float:
        features_BD = unit_length(batch.features_BD) if unit else batch.features_BD
        pairs = pairs_of(batch.person_ids_B.roll(by))
        d_ap_B, d_an_B = hardest_distances(features_BD, pairs)
        return float(mean_of_valid(F.relu(sign * (d_ap_B - d_an_B) + margin), pairs))

    def solved(unit: bool, sign: float = 1.0) -> float | None:
        return _solve(lambda margin: hinge(first, margin, unit=unit, sign=sign), first.trained)

    found: dict[str, Value] = {}
    for what, unit, sign in (("margin", False, 1.0), ("unit length", True, 1.0), ("turned round", False, -1.0)):
        margin = solved(unit, sign)
        if margin is not None:
            found[what] = lambda batch, m=margin, u=unit, s=sign: hinge(batch, m, unit=u, sign=s)  # type: ignore[misc]
    for by in _ROLLS:
        found[f"labels rolled by {by}"] = lambda batch, by=by: hinge(batch, configured_margin, by=by)  # type: ignore[misc]
    return found


def _solve(value: Callable[[float], float], wanted: float) -> float | None:
    """Return the margin at which a hinge, which rises with it, has the wanted value; None where it has none."""
    low, high = -_LARGEST_MARGIN, _LARGEST_MARGIN
    if not value(low) < wanted < value(high):
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if value(middle) > wanted else (middle, high)
    return high


def _error(batches: Sequence[Batch], value: Value) -> float | None:
    errors = [abs(value(batch) - batch.trained) / max(abs(batch.trained), 1e-6) for batch in batches]
    largest = max(errors)
    return largest if torch.isfinite(torch.tensor(largest)) else None
