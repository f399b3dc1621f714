"""How many updates each layer has had, by the optimiser's own count, beside the training steps done. Cost: none.

Adam and its relatives count the updates of every tensor for their bias correction (Kingma and Ba 2015, algorithm 1). The count
tells the past: layers that were frozen for a while, an optimiser that was made anew, steps that were skipped.
"""

from collections.abc import Iterable, Mapping, Sequence

from torch import nn
from torch.optim import Optimizer

from unplateau.runs.record import Measurement


def optimizer_age(
    optimizers: Iterable[Optimizer], named_parameters: Iterable[tuple[str, nn.Parameter]], groups: Mapping[str, Sequence[str]],
    *, steps: int,
) -> tuple[Measurement, ...]:  # fmt: skip
    """Read the counts.

    Args:
        optimizers: all of them.
        named_parameters: of the model; frozen ones are left out.
        groups: parameter names by layer group.
        steps: training steps done so far, above 0.

    Returns:
        updates_over_steps: the most updates of a tensor of a group over the steps, for each group and for all (group ""). Nothing
        where no optimiser counts.
    """
    counts = {id(p): float(state["step"]) for o in optimizers for p, state in o.state.items() if "step" in state}
    if not counts:
        return ()
    trained = {name: counts.get(id(p), 0.0) for name, p in named_parameters if p.requires_grad}
    members = {"": list(trained)} | dict(groups)
    kept = {group: [trained[name] for name in names if name in trained] for group, names in members.items()}
    return tuple(
        Measurement("updates_over_steps", max(values) / steps, "ratio", steps, group) for group, values in kept.items() if values
    )
