"""Whether weights go where the optimiser's updates send them, over many training steps. Cost: one pass over the weights a step.

Weights after some steps are those before plus the sum of all updates, unless something else writes to them: slow weights that are
copied back, an average, masks, rounding. And an optimiser that steps once in many training steps throws the gradients of the
others away. A single step shows neither where they happen every so often.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from unplateau.probes.step_hooks import right_after_update
from unplateau.runs.record import Measurement


@torch.no_grad()
def _values(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [parameter.detach().double().clone() for parameter in parameters]


def updates_kept(
    parameters: Iterable[Tensor], optimizers: Sequence[Optimizer], steps: Iterable[Callable[[], object]],
    *, step: int | None = None,
) -> tuple[Measurement, ...]:  # fmt: skip
    """Do training steps and add up what the optimisers do in them.

    Args:
        parameters: the weights, of floating type.
        optimizers: that train them; their step hooks tell when they step.
        steps: each does one training step.
        step: of the run.

    Returns:
        updates_in_steps (updates of the optimiser that steps least, over training steps), updates_kept (share of the sum of the
        updates, along its own direction, by which the weights have moved at the end; 1 where nothing else writes to them),
        written_elsewhere (length of what something else wrote, over the length of that sum) and written_along_weights (cosine of
        that with the weights at the start: -1 where they are shrunk). None where no update was seen.
    """
    weights = [parameter for parameter in parameters if parameter.is_floating_point()]
    first, updates = _values(weights), [torch.zeros_like(w, dtype=torch.float64) for w in weights]
    counts, before = [0] * len(optimizers), [first] * len(optimizers)

    def look(number: int) -> Callable[..., None]:
        def before_update(*_: object) -> None:
            before[number] = _values(weights)

        return before_update

    def add(number: int) -> Callable[..., None]:
        def after_update(*_: object) -> None:
            counts[number] += 1
            for update, now, then in zip(updates, _values(weights), before[number], strict=True):
                update += now - then

        return after_update

    hooks = [o.register_step_pre_hook(look(number)) for number, o in enumerate(optimizers)]
    hooks += [right_after_update(o, add(number)) for number, o in enumerate(optimizers)]
    num_steps = 0
    try:
        for do in steps:
            do()
            num_steps += 1
    finally:
        for hook in hooks:
            hook.remove()
    net = [now - then for now, then in zip(_values(weights), first, strict=True)]
    shares = Measurement("updates_in_steps", min(counts, default=0) / max(num_steps, 1), "share", step, note=f"{num_steps} steps")
    return (shares, *_compared(net, updates, first, step))


def _compared(net: list[Tensor], updates: list[Tensor], first: list[Tensor], step: int | None) -> tuple[Measurement, ...]:
    size = _product(updates, updates)
    others = [there - meant for there, meant in zip(net, updates, strict=True)]
    length = _product(others, others) ** 0.5
    along = length * _product(first, first) ** 0.5
    values = {
        "updates_kept": (_product(net, updates) / size if size > 0 else None, "share"),
        "written_elsewhere": (length / size**0.5 if size > 0 else None, "ratio"),
        "written_along_weights": (_product(others, first) / along if along > 0 else None, "cosine"),
    }
    return tuple(Measurement(name, value, unit, step) for name, (value, unit) in values.items())


def _product(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    return sum(float((a * b).sum()) for a, b in zip(one, other, strict=True))
