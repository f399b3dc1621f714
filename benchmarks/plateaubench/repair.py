"""Whether what is recommended brings back what the fault took: the first two remedies of the first finding, with probes.

A remedy that is a change of configuration is trained, on top of the fault, with the same seed. A remedy that is work on code or
data ("build the optimiser anew") cannot be carried out by a file: where it is the cure of the planted fault, doing it undoes the
plant, and the repaired run is the healthy run of the same seed by construction; counted apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.plateaubench.diagnosing import classes
from benchmarks.plateaubench.healthy import Healthy
from benchmarks.plateaubench.planning import Planned
from benchmarks.plateaubench.recipe import recipe
from benchmarks.plateaubench.report import Done
from unplateau.base.errors import ConfigError
from unplateau.config.delta import difference, with_values
from unplateau.solutions.catalogue import BY_NAME
from unplateau.solutions.generate import changes_of

ENOUGH = 0.9  # of the lost mAP
_TRIED = 2
_BY_HAND = {
    "repair_rate": ("higher_learning_rate", "lower_learning_rate", "restore_learning_rate", "warm_up", "repair_schedule"),
    "repair_settings": ("higher_learning_rate", "lower_learning_rate", "restore_learning_rate", "lower_weight_decay", "unfreeze",
                        "fix_optimizer"),
    "repair_losses": ("less_label_smoothing", "restore_margin", "rebalance_losses", "add_cross_entropy", "restore_logits",
                      "restore_cosine_scale"),
    "repair_head": ("restore_cosine_scale", "restore_logits", "larger_embedding"),
    "repair_sampling": ("larger_batch", "use_pk_sampling", "restore_shuffling", "more_identities"),
    "repair_step": ("relabel", "restore_gradient", "rebalance_losses", "fix_mixed_precision", "larger_batch", "fix_optimizer"),
}  # fmt: skip
"""Work that makes the training do what its configuration says, and the classes of causes it is the cure of."""


@dataclass(frozen=True)
class Repair:
    """What one remedy brings."""

    fault: str
    seed: int
    remedy: str
    planned: Planned | None
    """The training that tells; None where none is needed."""
    is_cure_by_hand: bool


Rows = Sequence[tuple[Repair, float | None]]
"""Each remedy with the share of the lost mAP that it brought back; None = not trained."""


@dataclass(frozen=True)
class Repaired:
    """How many faults that hurt the first or second remedy repairs, and how that is known."""

    faults: int
    by_hand: int
    """The remedy is the fault's own cure, to be done by hand."""
    recommended: int
    """Remedies that are changes of configuration."""
    trained: int
    cured: int
    """Faults of which such a change brought back enough."""
    repaired: int
    """By hand or by a change of configuration."""


def repairs(done: Done) -> tuple[Repair, ...]:
    """Return the first two recommended remedies of a fault, ready to be tried."""
    answer, fault = done.answers["probes"], done.planned.fault
    assert fault is not None
    names = answer.remedies[:_TRIED] if answer.is_alarm else ()
    return tuple(_repair(done, name) for name in names)


def recovered(done: Done, healthy_map: float, repaired_map: float) -> float:
    """Return the share of the lost mAP that came back.

    Args:
        done: the run of the fault.
        healthy_map: final mAP without the fault, same seed.
        repaired_map: with fault and remedy.
    """
    return (repaired_map - done.final_map) / max(healthy_map - done.final_map, 1e-9)


def counted(rows: Rows, num_faults: int) -> Repaired:
    """Return the counts; `num_faults` are those that hurt."""
    by_hand = {_run(repair) for repair, _ in rows if repair.is_cure_by_hand}
    shares = [(repair, share) for repair, share in rows if repair.planned is not None]
    cured = {_run(repair) for repair, share in shares if share is not None and share >= ENOUGH}
    return Repaired(
        faults=num_faults,
        by_hand=len(by_hand),
        recommended=len(shares),
        trained=sum(share is not None for _, share in shares),
        cured=len(cured),
        repaired=len(by_hand | cured),
    )


def summary(rows: Rows, num_faults: int) -> str:
    """Return the block of the report."""
    count = counted(rows, num_faults)
    done = [(repair, share) for repair, share in rows if share is not None]
    lines = [
        f"Of {num_faults} faults that hurt, the first or second remedy of the first finding is the planted fault's own cure, to "
        f"be done by hand, for {count.by_hand}: the repaired run is then the healthy run of the same seed, by construction, not "
        f"measured. A change of configuration was recommended {count.recommended} times and trained {count.trained} times on top "
        f"of the fault (not where the other of the two is the cure by hand); it brought back 90 % of the lost mAP for "
        f"{count.cured} faults. Repaired in all: {count.repaired}/{num_faults}."
    ]
    if done:
        lines += ["", "| fault | remedy as configuration | lost mAP brought back |", "|---|---|---|"]
        lines += [f"| {repair.fault} | {repair.remedy} | {share:.0%} |" for repair, share in done]
    return "\n".join(lines)


def path_of(repair: Repair, folder: Path) -> Path | None:
    """Return where the story of a repair's training is kept."""
    if repair.planned is None:
        return None
    return folder / f"repair-{repair.remedy}-{repair.planned.file}"


def _run(repair: Repair) -> tuple[str, int]:
    return repair.fault, repair.seed


def _repair(done: Done, name: str) -> Repair:
    fault = done.planned.fault
    assert fault is not None
    wrong = done.planned.healthy.changes
    delta = _delta(name, done.planned.changes, done.answers["probes"].settings)
    if delta:
        planned = replace(done.planned, group="fault", healthy=Healthy(f"with {name}", {**wrong, **delta}))
        return Repair(done.planned.name, done.planned.seed, name, planned, False)
    return Repair(done.planned.name, done.planned.seed, name, None, bool(classes(fault.causes) & {name, *_BY_HAND.get(name, ())}))


def _delta(name: str, changes: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, object]:
    """What the remedy changes in the run's own recipe; nothing for work by hand."""
    remedy, config = BY_NAME.get(name), recipe(dict(changes))
    wanted = changes_of(remedy, config, settings) if remedy is not None else {}
    try:
        keys = difference(config, with_values(config, wanted)) if wanted else {}
    except ConfigError:
        return {}
    return {key: wanted.get(key, new) for key, (_, new) in keys.items()}
