"""Preflight: seconds of measuring before the first epoch is spent, so that nothing trains that does not move.

Everything happens on one deep copy of model, losses and optimisers *together*: a copied optimiser holds exactly the tensors
that the real one holds, so one that never touches the weights is found, and nothing of the real training is changed, batch-norm
statistics and random state included. Judging the measurements: `unplateau.diagnosis.preflight`. B batch, D embedding dim.
"""

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from unplateau.curves.landmarks import cross_entropy_at_start
from unplateau.data.loader import Batch
from unplateau.engine.freezing import unseen_by_losses
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import forward_losses, train_step
from unplateau.models.classifiers import LinearClassifier
from unplateau.models.groups import layer_groups
from unplateau.optim.schedules import Schedule
from unplateau.probes.unheld_leaves import unheld_leaves
from unplateau.probes.weight_motion import Snapshot, snapshot, weight_motion
from unplateau.runs.record import Measurement

_FEW = 4  # images
_SCALER_STEPS = 12  # an fp16 scaler starts at 2**16 and may skip steps until its scale fits


def preflight(parts: Parts, schedule: Schedule, *, has_fresh_head: bool) -> tuple[Measurement, ...]:
    """Measure one batch and one rehearsed step at the peak learning rate. Cost: 3 forward, 1 backward, a copy of the model.

    Args:
        parts: the training as it will run, before it is compiled or distributed.
        schedule: gives the peak rate.
        has_fresh_head: the classifier is new, linear and unscaled, so theory knows its first loss.
    """
    with _random_state_kept(parts.device):
        batch = next(iter(parts.train_loader.epoch(1)))
        seen = (*_labels(batch, parts.train_loader.num_identities), *_inputs(batch))
        if not 0 <= int(batch.person_ids_B.min()) <= int(batch.person_ids_B.max()) < parts.train_loader.num_identities:
            return seen  # the loss cannot be computed
        rehearsal = _rehearsal(parts)
        return (
            *seen,
            *_logits(rehearsal, batch),
            *(_initial_loss(rehearsal, batch) if has_fresh_head else ()),
            *_leaves(rehearsal, batch),
            *_motion(rehearsal, batch, schedule.peak_rate),
        )


@contextmanager
def _random_state_kept(device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        yield


def _rehearsal(parts: Parts) -> Parts:
    scaler = parts.precision.scaler
    model, losses, optimizers, scaler = copy.deepcopy((parts.model, parts.losses, parts.optimizers, scaler))
    model.train()
    precision = replace(parts.precision, scaler=scaler)
    return replace(
        parts, model=model, network=model, losses=losses, optimizers=optimizers, average=None, precision=precision,
        memory=parts.memory.rehearsal(),
    )  # fmt: skip


def _labels(batch: Batch, num_identities: int) -> tuple[Measurement, ...]:
    labels_B = batch.person_ids_B
    same_BB = labels_B[:, None] == labels_B[None]
    has_positive_B = same_BB.sum(1) > 1
    return (
        Measurement("label_lowest", float(labels_B.min())),
        Measurement("label_highest", float(labels_B.max())),
        Measurement("num_identities", float(num_identities)),
        Measurement("anchors_with_positive", float(has_positive_B.float().mean()), "share"),
        Measurement("identities_in_batch", float(len(labels_B.unique()))),
    )


def _inputs(batch: Batch) -> tuple[Measurement, ...]:
    channels_CN = batch.images_BCHW.float().transpose(0, 1).flatten(1)
    return (
        Measurement("input_mean", float(channels_CN.mean(1).abs().max()), "standard deviations"),
        Measurement("input_std", float(channels_CN.std(1).median()), "standard deviations"),
        Measurement("inputs_finite", float(torch.isfinite(channels_CN).all())),
    )


@torch.no_grad()
def _logits(parts: Parts, batch: Batch) -> tuple[Measurement, ...]:
    """How far what reaches the cross-entropy is from rows of probabilities."""
    with parts.precision.autocast():
        logits_BI = parts.network(batch.images_BCHW, person_ids_B=batch.person_ids_B, camera_ids_B=batch.camera_ids_B).logits_BI
    if logits_BI is None:
        return ()
    logits_BI = logits_BI.float()
    return (
        Measurement("logits_lowest", float(logits_BI.min())),
        Measurement("logits_row_sum_from_1", float((logits_BI.sum(1) - 1).abs().max())),
    )


@torch.no_grad()
def _initial_loss(parts: Parts, batch: Batch) -> tuple[Measurement, ...]:
    """Cross-entropy of the first batch beside its closed form for the lengths of the features really seen."""
    classifier_inputs: list[Tensor] = []
    classifier = parts.model.head.classifier
    assert isinstance(classifier, LinearClassifier)  # a fresh linear head was promised
    hook = classifier.register_forward_pre_hook(lambda _, inputs: classifier_inputs.append(inputs[0].detach().float()))
    terms = forward_losses(parts, batch)
    hook.remove()
    squared_length = float(classifier_inputs[0].square().sum(1).mean())
    num_identities = parts.train_loader.num_identities
    start = cross_entropy_at_start(num_identities, 1, classifier.initial_std * squared_length**0.5)
    identities_in_batch = len(batch.person_ids_B.unique())
    return (
        Measurement("initial_cross_entropy", float(terms.parts["cross_entropy"]), "nats"),
        Measurement("initial_cross_entropy_expected", start.mean, "nats"),
        Measurement("initial_cross_entropy_spread", start.spread * (num_identities / identities_in_batch) ** 0.5, "nats"),
    )


def _leaves(parts: Parts, batch: Batch) -> tuple[Measurement, ...]:
    """Weights below the loss that nobody trains: a few images show the graph, and fit where a whole batch may not."""
    few = Batch(batch.images_BCHW[:_FEW], batch.person_ids_B[:_FEW], batch.camera_ids_B[:_FEW])
    return unheld_leaves(forward_losses(parts, few).total, parts.optimizers, parts.model.parameters())


def _motion(parts: Parts, batch: Batch, peak_rate: float) -> tuple[Measurement, ...]:
    """Relative motion of each layer group in one step at the peak rate, without weight decay."""
    for optimizer in parts.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group.get("fixed_lr", peak_rate * group.get("factor", 1.0))
            group["weight_decay"] = 0.0
    before = snapshot(parts.model.named_parameters())
    trainable = sum(parameter.requires_grad for parameter in parts.model.parameters())
    if not trainable:
        return (Measurement("peak_rate", peak_rate), Measurement("trainable_tensors", 0.0))
    for _ in range(_SCALER_STEPS if parts.precision.scaler is not None else 1):
        train_step(parts, batch)
        if any(m.value for m in weight_motion(before, parts.model.named_parameters()) if m.name == "tensors_moved"):
            break
    return (
        Measurement("peak_rate", peak_rate),
        Measurement("trainable_tensors", float(trainable)),
        Measurement("optimizer_state_tensors", float(sum(len(optimizer.state) for optimizer in parts.optimizers))),
        Measurement("optimizer_keeps_state", float(any(_keeps_state(optimizer) for optimizer in parts.optimizers))),
        *_motion_of_groups(parts, before),
    )


def _motion_of_groups(parts: Parts, before: Snapshot) -> tuple[Measurement, ...]:
    """Motion of the parameters that are meant to train, by layer group."""
    still = _meant_to_stay(parts)
    trained = {name: p for name, p in parts.model.named_parameters() if p.requires_grad and name not in still}
    members = {group: [name for name in names if name in trained] for group, names in layer_groups(parts.model).items()}
    groups = {group: names for group, names in members.items() if names}
    motion = weight_motion(before, trained.items(), groups=groups)
    return (
        *(measurement for measurement in motion if measurement.group),
        *(
            Measurement("gradient_norm", _gradient_norm(trained[name] for name in names), group=group)
            for group, names in groups.items()
        ),
    )


def _gradient_norm(parameters: Iterable[nn.Parameter]) -> float:
    return float(torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]))


def _meant_to_stay(parts: Parts) -> set[str]:
    names = {id(parameter): name for name, parameter in parts.model.named_parameters()}
    unseen = unseen_by_losses(parts.config)
    still = {name for name in names.values() if name.startswith(tuple(f"{part}." for part in unseen))}
    for optimizer in parts.optimizers:
        for group in optimizer.param_groups:
            if group.get("factor", 1.0) == 0.0:
                still.update(names.get(id(parameter), "") for parameter in group["params"])
    return still


def _keeps_state(optimizer: torch.optim.Optimizer) -> bool:
    return not isinstance(optimizer, torch.optim.SGD) or any(group["momentum"] for group in optimizer.param_groups)
