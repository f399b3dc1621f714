"""Whether the optimisers are set as the configuration asks: rates of groups, momentum, epsilon, decay. Cost: none.

Settings are compared weight by weight, so it does not matter how weights are grouped.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer

from unplateau.runs.record import Measurement

_SAME = 1e-3  # relative
_FAR, _TINY = 3.0, 1e-12
_LEFT_OUT = ("params", "lr", "initial_lr", "factor", "fixed_lr", "name", "foreach", "fused", "capturable", "differentiable")


def optimizer_settings(
    trained: Iterable[Optimizer], configured: Iterable[Optimizer], named_parameters: Iterable[tuple[str, nn.Parameter]],
    *, step: int | None = None,
) -> tuple[Measurement, ...]:  # fmt: skip
    """Compare two sets of optimisers on the same parameters.

    Args:
        trained: those that train.
        configured: built anew from the configuration, on the same parameters.
        named_parameters: of the model.
        step: of the run.

    Returns:
        For each setting that differs, under its name as group: setting_trained and setting_configured (of the most weights that
        differ), and setting_differs (share of the weights that both hold). "rate" is relative to the highest of the optimisers.
        Of the others nothing but setting_differs of group "", 0 where everything agrees. Where rates differ also rates_far (share
        of the tensors whose rate is off by a factor of 3 or more) and rate_furthest (the factor that is furthest from 1).
    """
    mine, theirs = _by_parameter(trained), _by_parameter(configured)
    elements: dict[str, dict[tuple[float, float], int]] = {}
    total, factors = 0, []
    for _, parameter in named_parameters:
        own, asked = mine.get(id(parameter)), theirs.get(id(parameter))
        if own is None or asked is None:
            continue
        total += parameter.numel()
        factors.append(own.get("rate", 1.0) / (asked.get("rate", 1.0) or 1.0))
        for name in own.keys() & asked.keys():
            if not _is_same(own[name], asked[name]):
                pair = (own[name], asked[name])
                counts = elements.setdefault(name, {})
                counts[pair] = counts.get(pair, 0) + parameter.numel()
    shares = {name: sum(counts.values()) / max(total, 1) for name, counts in elements.items()}
    found = [Measurement("setting_differs", max(shares.values(), default=0.0), "share", step)]
    for name, counts in sorted(elements.items()):
        own_value, asked_value = max(counts, key=lambda pair: counts[pair])
        found += [
            Measurement("setting_trained", own_value, "", step, name),
            Measurement("setting_configured", asked_value, "", step, name),
            Measurement("setting_differs", shares[name], "share", step, name),
        ]
    return (*found, *(_far(factors, step) if "rate" in elements else ()))


def _far(factors: list[float], step: int | None) -> tuple[Measurement, ...]:
    """Small tensors of many layers count as much as the large ones of a few."""
    distances = [abs(math.log(max(factor, _TINY))) for factor in factors]
    far = sum(distance > math.log(_FAR) for distance in distances) / len(distances)
    furthest = factors[distances.index(max(distances))]
    return (Measurement("rates_far", far, "share", step), Measurement("rate_furthest", furthest, "factor", step))


def _by_parameter(optimizers: Iterable[Optimizer]) -> dict[int, dict[str, float]]:
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    highest = max((float(group["lr"]) for group in groups if "fixed_lr" not in group), default=0.0)
    found: dict[int, dict[str, float]] = {}
    for group in groups:
        settings = dict(_numbers(group))
        if highest > 0 and "fixed_lr" not in group:
            settings["rate"] = float(group["lr"]) / highest
        settings["is_adam"] = float("betas" in group)
        found |= {id(parameter): settings for parameter in group["params"]}
    return found


def _numbers(group: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in group.items():
        if name in _LEFT_OUT:
            continue
        if name == "betas":
            yield from (("momentum", float(value[0])), ("beta of squares", float(value[1])))
        elif isinstance(value, (bool, int, float)):
            yield name, float(value)


def _is_same(one: float, other: float) -> bool:
    return abs(one - other) <= _SAME * max(abs(one), abs(other))
