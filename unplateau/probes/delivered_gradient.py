"""Whether the optimiser steps with the gradient of the losses, and how far it steps with it. Cost: 2 B a batch.

Between backward and update a gradient can be clipped away, pile up because nobody clears it, or be thrown away; Adam's epsilon
can swallow what arrives. Kingma and Ba 2015, section 2.1: Adam's step is about the learning rate in size, whatever the gradient's
scale.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from unplateau.runs.record import Measurement

_ROUNDING = 1e-3  # of a tensor's gradient


@torch.no_grad()
def delivered_gradient(
    fresh: Mapping[str, Tensor], arrived: Mapping[str, Tensor], left_over: Mapping[str, Tensor] | None = None,
    *, weights: Mapping[str, Tensor] | None = None, step: int | None = None,
) -> tuple[Measurement, ...]:  # fmt: skip
    """Compare the losses' gradient on a batch with what the optimiser was given for the same batch.

    Args:
        fresh: by parameter, from the losses alone.
        arrived: by parameter, as the optimiser found it; a parameter without gradient is missing.
        left_over: by parameter, what lay there before the step; None = nothing.
        weights: by parameter, as they were when the gradient was taken; None = not compared.
        step: of the run.

    Returns:
        gradient_delivered (norm of what arrived over that of the fresh gradient, 1 where nothing stands between),
        gradient_delivered_cosine, gradient_rms (of the elements that arrived), gradient_arrived (norm), gradient_withheld (share
        of the fresh gradient's square whose tensors got exactly 0), and left_over_explains: the cosine between what arrived
        beyond the fresh gradient and what was left over. None where there is no fresh gradient, or nothing was left over. With
        weights, gradient_added_along: the cosine between what arrived beyond the fresh gradient and the weights it was added to
        (group "weights": 1 as a penalty on squares adds it) or their signs (group "signs": 1 as one on absolute values does).
    """
    given = {name: arrived.get(name, torch.zeros_like(gradient)) for name, gradient in fresh.items()}
    mine, theirs = _flat(fresh), _flat(given)
    length, other = float(mine.norm()), float(theirs.norm())
    withheld = sum(float(g.double().square().sum()) for name, g in fresh.items() if not bool(given[name].count_nonzero()))
    old = _flat({name: (left_over or {}).get(name, torch.zeros_like(g)) for name, g in fresh.items()})
    return (
        Measurement("gradient_delivered", other / length if length > 0 else None, "ratio", step),
        Measurement("gradient_delivered_cosine", _cosine(mine, theirs), "cosine", step),
        Measurement("gradient_rms", other / max(len(theirs), 1) ** 0.5, "an element", step),
        Measurement("gradient_arrived", other, "norm", step),
        Measurement("gradient_withheld", withheld / length**2 if length > 0 else None, "share", step),
        Measurement("left_over_explains", _cosine(theirs - mine, old), "cosine", step),
        *_added_along(fresh, given, weights or {}, step),
    )


def _added_along(
    fresh: Mapping[str, Tensor], given: Mapping[str, Tensor], weights: Mapping[str, Tensor], step: int | None
) -> tuple[Measurement, ...]:
    """Compare what was added with the weights it was added to: a penalty is often on some tensors alone."""
    added = {name: given[name] - gradient for name, gradient in fresh.items() if name in weights}
    met = {name: extra for name, extra in added.items() if float(extra.norm()) > _ROUNDING * float(fresh[name].norm())}
    if not met:
        return ()
    extra, there = _flat(met), _flat({name: weights[name] for name in met})
    return (
        Measurement("gradient_added_along", _cosine(extra, there), "cosine", step, "weights"),
        Measurement("gradient_added_along", _cosine(extra, there.sign()), "cosine", step, "signs"),
    )


def _flat(tensors: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([tensor.double().flatten() for tensor in tensors.values()])


def _cosine(one: Tensor, other: Tensor) -> float | None:
    lengths = float(one.norm()) * float(other.norm())
    return float(one @ other) / lengths if lengths > 0 else None


@torch.no_grad()
def step_over_rate(
    before: Mapping[str, Tensor], after: Mapping[str, Tensor], *, rate: float, step: int | None = None
) -> tuple[Measurement, ...]:
    """Measure an update of Adam or a relative against its rate, and the weights it changes.

    Args:
        before, after: the same parameters around one update.
        rate: learning rate of the update, above 0.
        step: of the run.

    Returns:
        step_over_rate: root mean square of the change of an element over the rate, 0.1 to 1 is usual; and weight_rms, that of
        the weights before.
    """
    count = sum(tensor.numel() for tensor in before.values())
    square = sum(float((after[name] - tensor).double().square().sum()) for name, tensor in before.items())
    weights = sum(float(tensor.double().square().sum()) for tensor in before.values())
    return (
        Measurement("step_over_rate", (square / max(count, 1)) ** 0.5 / rate, "rates", step),
        Measurement("weight_rms", (weights / max(count, 1)) ** 0.5, "an element", step),
    )


@torch.no_grad()
def step_kept(
    before: Mapping[str, Tensor], stepped: Mapping[str, Tensor], after: Mapping[str, Tensor], *, step: int | None = None
) -> tuple[Measurement, ...]:
    """Measure what a training step leaves of its optimiser's update: all of it, unless something writes to the weights later.

    Args:
        before, stepped, after: the same parameters before the step, right after the optimiser's update, and at the step's end.
        step: of the run.

    Returns:
        step_kept: 1 minus the distance between stepped and after over that between before and stepped; None without an update.
    """
    moved = sum(float((stepped[name] - tensor).double().square().sum()) for name, tensor in before.items()) ** 0.5
    undone = sum(float((after[name] - tensor).double().square().sum()) for name, tensor in stepped.items()) ** 0.5
    return (Measurement("step_kept", 1 - undone / moved if moved > 0 else None, "share", step),)
