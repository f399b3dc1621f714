"""Probes of updates and gradients on a bench. The others, and their order: `planned_probes`.

Measures only. B images.
"""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import median

import torch
from torch import Tensor, nn

from unplateau.curves.landmarks import uniform_cross_entropy
from unplateau.data.loader import Batch
from unplateau.engine.train_step import forward_losses
from unplateau.engine.watching.motion_record import Before, MotionRecord, Seen, see, take_before
from unplateau.models.classifiers import CosineClassifier, LinearClassifier
from unplateau.models.groups import layer_groups
from unplateau.optim.build import build_optimizers
from unplateau.probes.delivered_gradient import delivered_gradient, step_kept, step_over_rate
from unplateau.probes.loss_conflict import loss_conflict
from unplateau.probes.noise_scale import noise_scale
from unplateau.probes.numeric_gradient import numeric_gradient
from unplateau.probes.optimizer_age import optimizer_age
from unplateau.probes.optimizer_contents import optimizer_contents
from unplateau.probes.optimizer_settings import optimizer_settings
from unplateau.probes.step_hooks import right_after_update
from unplateau.probes.unheld_leaves import unheld_leaves
from unplateau.runs.record import Measurement
from unplateau.workflows.probing.bench import Bench
from unplateau.workflows.probing.planned import Measurements
from unplateau.workflows.probing.step_hypotheses import losses_otherwise, same_draws

_STEPS_TO_COUNT = 50
_UPDATES = 5  # measured; a gradient scaler may skip some
_ALL_ELEMENTS = 2**31
_CONFLICT_BATCHES, _NOISE_BATCHES = 4, 8
_DELIVERY_BATCHES = 3
_SLOPE_IMAGES = 4
_AT_START, _NOT_NOW = "initial weights", "_at_start"
_NO_LOSS = 1e-6  # nats
_STATED_APART = 1e-4  # with the same weights, batch and draws only rounding differs


def motion(bench: Bench, _: Measurements) -> Measurements:
    """What a few real updates at the peak rate move, without weight decay; and whether the optimisers are set as configured."""
    model, optimizers = bench.parts.model, bench.parts.optimizers
    held = optimizer_contents(optimizers, model.parameters(), step=bench.step)
    configured = build_optimizers(bench.parts.config, model, bench.parts.losses)
    settings = optimizer_settings(optimizers, configured, model.named_parameters(), step=bench.step)
    age = _age(bench)
    bench.without_decay()
    record, updates = MotionRecord(layer_groups(model)), 0
    for batch in bench.first_batches[:_UPDATES]:
        before = take_before(model, elements=_ALL_ELEMENTS)
        if (seen := _stepped_with(bench, batch, before)) is not None:  # weights stay where they are without an update
            record.after(before, seen)
            updates += 1
    steps = min(len(bench.first_batches), _UPDATES)
    rare = Measurement("updates_in_steps", updates / max(steps, 1), "share", bench.step, note=f"{steps} steps")
    return (*held, *settings, *age, rare, *record.measurements(bench.step))


def delivery(bench: Bench, _: Measurements) -> Measurements:
    """Whether the optimiser is given the gradient of the losses, and how far it steps with it: medians over batches.

    Now, and with the weights the training began with: a training that has gone wrong may have no gradient left to look at.
    """
    bench.without_decay()
    found = _delivery(bench, "")
    if bench.initial is None:
        return found
    with bench.untouched():
        bench.begin_anew()
        return (*found, *_delivery(bench, _AT_START))


def conflict(bench: Bench, _: Measurements) -> Measurements:
    """Cosine and ratio of the losses' gradients at the last block of the backbone, medians over batches."""
    bench.training_mode()
    shared = _last_block(bench)
    if not shared:
        return ()
    rows: dict[tuple[str, str], list[float]] = {}
    for batch in bench.first_batches[:_CONFLICT_BATCHES]:
        terms = forward_losses(bench.parts, batch)
        trained = {name: part for name, part in terms.parts.items() if bench.parts.losses.scales[name] > 0}
        for m in loss_conflict(trained, shared, scales=bench.parts.losses.scales):
            if m.value is not None:
                rows.setdefault((m.name, m.group), []).append(m.value)
        if "cross_entropy" in trained:
            height = uniform_cross_entropy(bench.num_identities) - bench.floor
            above = (float(trained["cross_entropy"].detach()) - bench.floor) / max(height, 1e-9)
            rows.setdefault(("term_above_floor", "cross_entropy"), []).append(above)
    medians = tuple(Measurement(name, median(values), "", bench.step, group) for (name, group), values in rows.items())
    highest = tuple(
        Measurement("loss_gradient_highest", max(values), "", bench.step, group)
        for (name, group), values in rows.items()
        if name == "loss_gradient_norm"
    )
    return (*medians, *highest, Measurement("steps_trained", float(bench.step), "steps", bench.step))


def gradient_noise(bench: Bench, _: Measurements) -> Measurements:
    """The batch beyond which larger ones stop helping, from gradients of the cross-entropy at the last block."""
    bench.training_mode()
    shared = _last_block(bench)
    batches = bench.first_batches[:_NOISE_BATCHES]
    if not shared or bench.main_term != "cross_entropy" or len(batches) < 2:
        return ()
    terms = (forward_losses(bench.parts, batch).parts["cross_entropy"] for batch in batches)
    gradients = (torch.autograd.grad(term, shared, allow_unused=True, materialize_grads=True) for term in terms)
    groups = max(len(batches[0].person_ids_B.unique()), 1)
    return noise_scale(gradients, batch_size=groups, unit="PK groups", step=bench.step)


def slopes(bench: Bench, _: Measurements) -> Measurements:
    """Whether outputs change with the weights as their gradient says, on a few images of different people.

    Where they do not, the weights the training began with are asked too: a network that trained with a way back that is partly
    cut lives from the rest of it.
    """
    bench.training_mode()
    batch, model = bench.first_batches[0], bench.parts.model
    rows = torch.arange(_SLOPE_IMAGES) * len(batch.person_ids_B) // _SLOPE_IMAGES
    images_BCHW, ids_B, cameras_B = (tensor.cpu()[rows] for tensor in (batch.images_BCHW, batch.person_ids_B, batch.camera_ids_B))
    is_sloped = _is_sloped(model.head.classifier)

    def forward(one: nn.Module) -> list[Tensor]:
        outputs = one(images_BCHW.double(), person_ids_B=ids_B, camera_ids_B=cameras_B)
        last = outputs.logits_BI if is_sloped else outputs.embeddings_BD
        return [outputs.features_BD, last if last is not None else outputs.embeddings_BD]

    found = numeric_gradient(model, forward, layer_groups(model), step=bench.step)
    if bench.initial is None or len(found) < 2:
        return found
    begun = bench.initial.model
    was_training = begun.training
    at_start = numeric_gradient(begun.train(), forward, layer_groups(begun), step=0)
    begun.train(was_training)
    return (*found, *(replace(m, group=_AT_START) for m in at_start if m.name == "slope_cosine"))


def _is_sloped(classifier: nn.Module | None) -> bool:
    """Whether logits have the gradient of their value: margins that weigh themselves keep it from their weights on purpose."""
    return isinstance(classifier, LinearClassifier) or (
        isinstance(classifier, CosineClassifier) and classifier.kind != "CircleSoftmax"
    )


def _age(bench: Bench) -> Measurements:
    """Updates that each layer has had so far; a wanted freeze leaves some with fewer."""
    if bench.step < _STEPS_TO_COUNT or bench.parts.config.MODEL.FREEZE_LAYERS:
        return ()
    model = bench.parts.model
    return optimizer_age(bench.parts.optimizers, model.named_parameters(), layer_groups(model), steps=bench.step)


def _stepped_with(bench: Bench, batch: Batch, before: Before) -> Seen | None:
    """Do a training step; return what the optimisers were about to step with, None where none stepped."""
    optimizers = bench.parts.optimizers
    seen: list[Seen] = []
    hooks = [o.register_step_pre_hook(lambda *_: seen.append(see(before, optimizers))) for o in optimizers]
    bench.do_step(batch, bench.schedule.peak_rate)
    for hook in hooks:
        hook.remove()
    return seen[0] if seen else None


def _delivery(bench: Bench, group: str) -> Measurements:
    rows: dict[tuple[str, str], list[float]] = {}
    earlier: list[Batch] = []
    for batch in bench.first_batches[:_DELIVERY_BATCHES]:
        said = [value for (name, _), values in rows.items() if name == "stated_over_expected" for value in values]
        is_doubtful = any(abs(ratio - 1) > _STATED_APART for ratio in said)
        others = losses_otherwise(bench, batch, earlier) if earlier and is_doubtful else {}
        for m in _delivered(bench, batch, others):
            if m.value is not None:
                rows.setdefault((m.name, m.group), []).append(m.value)
        earlier.append(batch)
    found = [
        Measurement(name + _NOT_NOW if of and group else name, median(values), "", bench.step, of or group)
        for (name, of), values in rows.items()
    ]
    arrived = rows.get(("gradient_arrived", ""), [])
    if len(arrived) > 1:
        spread = (max(arrived) - min(arrived)) / max(median(arrived), 1e-30)
        found.append(Measurement("gradient_arrived_spread", spread, "relative", bench.step, group))
    return tuple(found)


def _delivered(bench: Bench, batch: Batch, others: dict[str, dict[str, float]]) -> Measurements:
    bench.training_mode()
    rate, trained = bench.schedule.peak_rate, {n: p for n, p in bench.parts.model.named_parameters() if p.requires_grad}
    with same_draws():
        terms = forward_losses(bench.parts, batch)
    if not trained or not terms.total.requires_grad:
        return ()
    leaves = unheld_leaves(terms.total, bench.parts.optimizers, bench.parts.model.parameters())
    gradients = torch.autograd.grad(terms.total, list(trained.values()), allow_unused=True, materialize_grads=True)
    absent = sum(g.numel() for g in gradients if not bool(g.count_nonzero())) / sum(g.numel() for g in gradients)
    before, arrived = {name: p.detach().clone() for name, p in trained.items()}, {}
    left_over = {name: p.grad.clone() for name, p in trained.items() if p.grad is not None}

    def look(*_: object) -> None:
        arrived.update({name: p.grad.clone() for name, p in trained.items() if p.grad is not None})

    stepped: dict[str, Tensor] = {}
    rows: list[int] = []  # of each pass through the model

    def look_after(*_: object) -> None:
        stepped.update({name: p.detach().clone() for name, p in trained.items()})

    hooks = [optimizer.register_step_pre_hook(look) for optimizer in bench.parts.optimizers]
    hooks += [right_after_update(optimizer, look_after) for optimizer in bench.parts.optimizers]
    hooks += [bench.parts.model.register_forward_pre_hook(lambda _, given: rows.extend(map(len, given[:1])))]
    with same_draws():
        reported = bench.do_step(batch, rate)
    for hook in hooks:
        hook.remove()
    said = {name: float(value) for name, value in reported.parts.items()}
    expected = {name: float(value.detach()) for name, value in terms.parts.items()}
    stated = (
        *leaves,
        Measurement("gradient_absent", absent, "share"),
        *([Measurement("rows_in_pass", max(rows) / len(batch.images_BCHW), "of the batch")] if rows else []),
        *_stated(said, expected),
        *_explained(said, expected, others),
        *_total_over_parts(bench, said, float(reported.total)),
    )
    if not arrived:
        return stated
    found = delivered_gradient(dict(zip(trained, gradients, strict=True)), arrived, left_over, weights=before)
    is_adam = all("betas" in group for optimizer in bench.parts.optimizers for group in optimizer.param_groups)
    after = {name: p.detach() for name, p in trained.items()}
    kept = step_kept(before, stepped, after) if stepped else ()
    return (*stated, *found, *kept, *(step_over_rate(before, after, rate=rate) if is_adam and rate > 0 else ()))


def _stated(reported: dict[str, float], expected: dict[str, float]) -> Measurements:
    """What the training step says its losses are, over what they are on the batch it was given."""
    return tuple(
        Measurement("stated_over_expected", reported[name] / value, "ratio", group=name)
        for name, value in expected.items()
        if name in reported and value != 0
    )


def _total_over_parts(bench: Bench, said: dict[str, float], total: float) -> Measurements:
    """What the training step says it minimises, over the weighted sum of its parts."""
    scales = bench.parts.losses.scales
    whole = sum(scale * said.get(name, float("nan")) for name, scale in scales.items() if scale > 0)
    return (Measurement("total_over_parts", total / whole, "ratio"),) if math.isfinite(whole) and abs(whole) > _NO_LOSS else ()


def _explained(said: dict[str, float], expected: dict[str, float], others: dict[str, dict[str, float]]) -> Measurements:
    """For each mistake what it leaves unexplained: 0 = it gives the losses that are off exactly what the step says, 1 = nothing.

    A mistake may be made for one loss alone: losses that are as they should be say nothing about it.
    """
    off = {n: said[n] - value for n, value in expected.items() if n in said and abs(said[n] - value) > _STATED_APART * abs(value)}
    return tuple(
        Measurement("stated_unexplained", max(abs(said[n] - values[n]) / abs(apart) for n, apart in off.items()), "", group=what)
        for what, values in others.items()
        if off and values.keys() >= set(off)
    )


def _last_block(bench: Bench) -> list[Tensor]:
    """Weights of the last group of the backbone that is trained: several losses reach them."""
    parameters = dict(bench.parts.model.named_parameters())
    groups = [names for group, names in layer_groups(bench.parts.model).items() if group.startswith("backbone")]
    trained: list[list[Tensor]] = [[parameters[n] for n in names if parameters[n].requires_grad] for names in groups]
    return next((block for block in reversed(trained) if block), [])
