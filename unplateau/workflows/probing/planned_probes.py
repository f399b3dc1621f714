"""Every probe on a bench, in the order of what they cost: B is one forward and backward pass, F one forward pass.

Measures only. When to stop: `probe`; judging: `unplateau.diagnosis.rules.probed_table`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import median

import torch
from torch import Tensor

from unplateau.curves.landmarks import uniform_cross_entropy
from unplateau.data.loader import Batch
from unplateau.engine.preflight import preflight
from unplateau.engine.train_step import forward_losses, train_step
from unplateau.engine.watching.motion_record import MotionRecord, see, take_before
from unplateau.evaluation.ranking import retrieve
from unplateau.losses.build import build_losses
from unplateau.models.groups import layer_groups
from unplateau.probes.blank_input import blank_input
from unplateau.probes.classifier_scale import classifier_scale
from unplateau.probes.dead_units import dead_units
from unplateau.probes.delivered_gradient import delivered_gradient, step_over_rate
from unplateau.probes.evaluation_self_check import (
    batch_invariance,
    embedding_difference,
    gallery_in_itself,
    independent_evaluation,
    same_camera_first,
    shuffled_features,
)
from unplateau.probes.features import features
from unplateau.probes.forward_noise import forward_noise
from unplateau.probes.loss_conflict import loss_conflict
from unplateau.probes.losses_as_configured import losses_as_configured
from unplateau.probes.lr_range import lr_range
from unplateau.probes.noise_scale import noise_scale
from unplateau.probes.optimizer_contents import optimizer_contents
from unplateau.probes.overfit_batch import overfit_batch
from unplateau.probes.train_identity_gap import train_identity_gap
from unplateau.probes.triplets import triplets
from unplateau.runs.record import Measurement
from unplateau.workflows.probing.bench import Bench
from unplateau.workflows.probing.planned import Measurements, Planned
from unplateau.workflows.probing.planned_data_probes import agreement, labels_and_inputs, plain_view

_UPDATES = 5  # measured; a gradient scaler may skip some
_ALL_ELEMENTS = 2**31
_GEOMETRY_BATCHES, _CONFLICT_BATCHES, _NOISE_BATCHES, _BLANK_STEPS = 4, 4, 8, 12
_DELIVERY_BATCHES = 3
_RANGE_STEPS, _OVERFIT_STEPS = 60, 60
_INVARIANCE_IMAGES = 8
_QUERIES = 50


def first_step(bench: Bench, _: Measurements) -> Measurements:
    """Preflight, as the training began: logits, pairs, and the first loss beside theory."""
    measured = preflight(bench.begun, bench.schedule, has_fresh_head=bench.has_fresh_head)
    return tuple(m for m in measured if not m.group)  # motion by group is measured anew, on more updates


def motion(bench: Bench, _: Measurements) -> Measurements:
    """What a few real updates at the peak rate move, without weight decay."""
    model, optimizers = bench.parts.model, bench.parts.optimizers
    held = optimizer_contents(optimizers, model.parameters(), step=bench.step)
    _without_decay(bench)
    record = MotionRecord(layer_groups(model))
    for batch in bench.first_batches[:_UPDATES]:
        bench.set_rate(bench.schedule.peak_rate)
        bench.training_mode()
        before = take_before(model, elements=_ALL_ELEMENTS)
        train_step(bench.parts, batch)
        record.after(before, see(before, optimizers))
    return (*held, *record.measurements(bench.step))


def delivery(bench: Bench, _: Measurements) -> Measurements:
    """Whether the optimiser is given the gradient of the losses, and how far it steps with it: medians over batches."""
    _without_decay(bench)
    rows: dict[str, list[float]] = {}
    for batch in bench.first_batches[:_DELIVERY_BATCHES]:
        for m in _delivered(bench, batch):
            if m.value is not None:
                rows.setdefault(m.name, []).append(m.value)
    return tuple(Measurement(name, median(values), "", bench.step) for name, values in rows.items())


def as_configured(bench: Bench, _: Measurements) -> Measurements:
    """The losses of a batch beside those the configuration asks for."""
    bench.training_mode()
    batch, model = bench.first_batches[0], bench.parts.model
    configured = build_losses(bench.parts.config, num_identities=bench.num_identities, feature_dim=model.feature_dim)
    outputs = bench.outputs(batch)
    found = losses_as_configured(bench.parts.losses, configured.to(bench.parts.device), outputs, batch.person_ids_B)
    weight_ID = getattr(model.head.classifier, "weight", None)
    if outputs.logits_BI is not None and weight_ID is not None:
        found = (*found, *classifier_scale(outputs.logits_BI, outputs.embeddings_BD, weight_ID))
    return (*found, Measurement("embedding_dim", float(outputs.embeddings_BD.shape[1]), "dimensions"))


def geometry(bench: Bench, _: Measurements) -> Measurements:
    """Triplets of the first batch, and the space that features use, as the losses see them."""
    bench.training_mode()
    batches = bench.first_batches[:_GEOMETRY_BATCHES]
    outputs = [bench.outputs(batch) for batch in batches]
    margin = bench.parts.config.MODEL.LOSSES.TRI.MARGIN
    features_ND = torch.cat([output.features_BD for output in outputs])
    found = triplets(outputs[0].features_BD, batches[0].person_ids_B, margin=margin, step=bench.step)
    noise = forward_noise(outputs[0].features_BD, bench.outputs(batches[0]).features_BD, step=bench.step)
    dead = dead_units(bench.parts.model, lambda: [bench.outputs(batch) for batch in batches], step=bench.step)
    return (*found, *features(features_ND, step=bench.step), *noise, *dead)


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
    return (*medians, Measurement("steps_trained", float(bench.step), "steps", bench.step))


def evaluation(bench: Bench, _: Measurements) -> Measurements:
    """Whether the evaluation contradicts itself."""
    batch = bench.first_batches[0]
    found = batch_invariance(bench.embed, batch.images_BCHW[:_INVARIANCE_IMAGES])
    scored_BD = bench.embed(batch.images_BCHW)
    bench.parts.model.eval()
    found = (*found, *embedding_difference(bench.outputs(batch).embeddings_BD.float(), scored_BD))
    if bench.validation is None:
        return found
    query, gallery = bench.embedded(bench.validation.query), bench.embedded(bench.validation.gallery)
    shuffled = shuffled_features(query, gallery, seed=bench.parts.config.SEED)
    itself = gallery_in_itself(query, gallery, most_queries=10 * _QUERIES)
    other = independent_evaluation(query, gallery, most_queries=_QUERIES)
    return (*found, *itself, *shuffled, *same_camera_first(query, gallery), *other)


def gap(bench: Bench, _: Measurements) -> Measurements:
    """Retrieval among trained identities beside retrieval among others."""
    if bench.validation is None or bench.train_identities is None:
        return ()
    seen, unseen = (
        retrieve(bench.embedded(task.query), bench.embedded(task.gallery), protocol=task.protocol).metrics
        for task in (bench.train_identities, bench.validation)
    )
    return train_identity_gap(seen, unseen, step=bench.step)


def blank(bench: Bench, _: Measurements) -> Measurements:
    """The loss trained on images beside the loss trained on blank ones."""
    batches = [(batch.images_BCHW, batch) for batch in bench.first_batches[:_BLANK_STEPS]]
    by_ids = {id(batch.person_ids_B): batch for _, batch in batches}

    def step(images_BCHW: Tensor, person_ids_B: Tensor) -> float:
        return bench.train(replace(by_ids[id(person_ids_B)], images_BCHW=images_BCHW), bench.schedule.peak_rate)

    return blank_input(step, [(images, batch.person_ids_B) for images, batch in batches], bench.untouched)


def rate_range(bench: Bench, _: Measurements) -> Measurements:
    """The loss while the rate rises."""
    batches = bench.batches()
    found = lr_range(lambda rate: bench.train(next(batches), rate), num_steps=_RANGE_STEPS)
    return (*found, Measurement("probed_rate", bench.schedule.peak_rate, "learning rate"))


def one_batch(bench: Bench, before: Measurements) -> Measurements:
    """One batch learned by heart at the run's peak rate; at the range test's rate too where it was not."""
    _without_decay(bench)
    found = [*_overfit(bench, bench.schedule.peak_rate, ""), Measurement("overfit_floor", bench.floor, "nats")]
    first, last = found[0].value, found[1].value
    best = next((m.value for m in before if m.name == "rate_of_steepest_descent"), None)
    if best is not None and first is not None and last is not None and first - last < 0.5 * (first - bench.floor):
        found += _overfit(bench, best, "best rate")
    return tuple(found)


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


PLAN: tuple[Planned, ...] = (
    Planned("labels and inputs", "4 batches", labels_and_inputs),
    Planned("first step", "2 F + 1 B", first_step),
    Planned("motion", "5 B", motion),
    Planned("delivered gradient", "6 B", delivery),
    Planned("losses as configured", "1 F", as_configured),
    Planned("triplets and features", "9 F", geometry),
    Planned("label agreement", "64 F", agreement),
    Planned("plain view", "32 F", plain_view),
    Planned("loss conflict", "4 F, 8 backward passes", conflict),
    Planned("noise scale", "8 B", gradient_noise),
    Planned("evaluation self-check", "1 evaluation", evaluation),
    Planned("blank input", "24 B", blank),
    Planned("learning-rate range", "60 B", rate_range),
    Planned("one batch", "60 to 120 B", one_batch),
    Planned("train-identity gap", "2 evaluations", gap),
)
"""The cheapest information first, the pipeline before the rest."""


def _delivered(bench: Bench, batch: Batch) -> Measurements:
    bench.training_mode()
    rate, trained = bench.schedule.peak_rate, {n: p for n, p in bench.parts.model.named_parameters() if p.requires_grad}
    with _same_draws():
        total = forward_losses(bench.parts, batch).total
    if not trained or not total.requires_grad:
        return ()
    gradients = torch.autograd.grad(total, list(trained.values()), allow_unused=True, materialize_grads=True)
    before, arrived = {name: p.detach().clone() for name, p in trained.items()}, {}

    def look(*_: object) -> None:
        arrived.update({name: p.grad.clone() for name, p in trained.items() if p.grad is not None})

    hooks = [optimizer.register_step_pre_hook(look) for optimizer in bench.parts.optimizers]
    with _same_draws():
        bench.train(batch, rate)
    for hook in hooks:
        hook.remove()
    if not arrived:
        return ()
    found = delivered_gradient(dict(zip(trained, gradients, strict=True)), arrived)
    is_adam = all("betas" in group for optimizer in bench.parts.optimizers for group in optimizer.param_groups)
    after = {name: p.detach() for name, p in trained.items()}
    return (*found, *(step_over_rate(before, after, rate=rate) if is_adam and rate > 0 else ()))


@contextmanager
def _same_draws() -> Iterator[None]:
    """Dropout of two passes drops the same units."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def _overfit(bench: Bench, rate: float, group: str) -> list[Measurement]:
    batch = bench.first_batches[0]
    with bench.untouched():
        found = overfit_batch(lambda: bench.train(batch, rate), num_steps=_OVERFIT_STEPS)
    return [replace(m, group=group) for m in found]


def _without_decay(bench: Bench) -> None:
    for optimizer in bench.parts.optimizers:
        for group in optimizer.param_groups:
            group["weight_decay"] = 0.0


def _last_block(bench: Bench) -> list[Tensor]:
    """Weights of the last group of the backbone that is trained: several losses reach them."""
    parameters = dict(bench.parts.model.named_parameters())
    groups = [names for group, names in layer_groups(bench.parts.model).items() if group.startswith("backbone")]
    trained: list[list[Tensor]] = [[parameters[n] for n in names if parameters[n].requires_grad] for names in groups]
    return next((block for block in reversed(trained) if block), [])
